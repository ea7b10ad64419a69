//! Decides how a process is started: user, environment, working directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::filesystem::path::resolve;
use crate::sandbox::Settings;

use super::Info;

/// Search path when the daemon itself has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that is needed to start a process.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the client asked for.
    pub info: Info,
    /// The user it runs as.
    pub account: Account,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// Size of its terminal in columns and rows, when it has one.
    pub terminal: Option<(u16, u16)>,
    /// Whether its standard input stays open.
    pub stdin: bool,
}

/// Why a process did not start; SDKs show these texts.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program is missing from the request.
    #[error("no command was given")]
    NoCommand,
    /// The working directory does not exist.
    #[error("cwd '{}' does not exist", .0.display())]
    MissingCwd(PathBuf),
    /// The system refused to start the program.
    #[error("failed to start '{cmd}': {reason}")]
    Spawn { cmd: String, reason: io::Error },
    /// A pipe or terminal could not be set up.
    #[error("failed to connect the process: {0}")]
    Connect(io::Error),
}

impl Plan {
    /// Combines a request with the state of the sandbox. Reads the file system to check the directory.
    pub fn new(
        info: Info,
        account: Account,
        settings: &Settings,
        terminal: Option<(u16, u16)>,
        stdin: bool,
    ) -> Result<Self, StartError> {
        if info.cmd.is_empty() {
            return Err(StartError::NoCommand);
        }
        let cwd = choose_cwd(
            info.cwd.as_deref(),
            settings.default_workdir.as_deref(),
            &account.home,
        );
        let cwd = match cwd {
            Cwd::Given(path) if path.is_dir() => path,
            Cwd::Given(path) => return Err(StartError::MissingCwd(path)),
            // The user's home may be missing from the image.
            Cwd::Home if account.home.is_dir() => account.home.clone(),
            Cwd::Home => PathBuf::from("/"),
        };
        let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
        let env = compose_env(&path, &account, &settings.env, &info.envs);
        Ok(Self {
            info,
            account,
            env,
            cwd,
            terminal,
            stdin,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Cwd {
    Given(PathBuf),
    Home,
}

fn choose_cwd(requested: Option<&str>, default: Option<&str>, home: &Path) -> Cwd {
    let given = requested.filter(|path| !path.is_empty());
    match given.or(default.filter(|path| !path.is_empty())) {
        Some(path) => Cwd::Given(resolve(path, home, None)),
        None => Cwd::Home,
    }
}

/// The environment of a process: search path, user, global variables, variables of the request; later ones win.
pub fn compose_env(
    path: &str,
    account: &Account,
    global: &BTreeMap<String, String>,
    request: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), path.to_owned()),
        ("HOME".to_owned(), account.home.to_string_lossy().into_owned()),
        ("USER".to_owned(), account.name.clone()),
        ("LOGNAME".to_owned(), account.name.clone()),
    ]);
    let requested = request.iter().map(|(name, value)| (name.clone(), value.clone()));
    env.extend(global.clone().into_iter().chain(requested));
    // Such a variable cannot be passed on; leaving it out is better than failing every command.
    env.retain(|name, value| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            name: "user".into(),
            uid: 1,
            gid: 1,
            groups: vec![1],
            home: "/home/user".into(),
        }
    }

    #[test]
    fn request_variables_win_over_global_ones() {
        let global = BTreeMap::from([("A".into(), "global".into()), ("HOME".into(), "/x".into())]);
        let request = BTreeMap::from([("A".into(), "request".into())]);
        let env = compose_env("/bin", &account(), &global, &request);
        assert_eq!(env["A"], "request");
        assert_eq!(env["HOME"], "/x");
        assert_eq!(env["PATH"], "/bin");
        assert_eq!(env["USER"], "user");
        assert_eq!(env["LOGNAME"], "user");
    }

    #[test]
    fn variables_that_no_process_can_have_are_left_out() {
        let request = BTreeMap::from([("A=B".into(), "1".into()), (String::new(), "1".into())]);
        let env = compose_env("/bin", &account(), &BTreeMap::new(), &request);
        assert_eq!(env.len(), 4);
    }

    #[test]
    fn working_directory_is_the_requested_then_the_default_then_home() {
        let home = Path::new("/home/user");
        assert_eq!(
            choose_cwd(Some("src"), Some("/work"), home),
            Cwd::Given("/home/user/src".into())
        );
        assert_eq!(choose_cwd(Some("~"), None, home), Cwd::Given("/home/user".into()));
        assert_eq!(choose_cwd(None, Some("/work"), home), Cwd::Given("/work".into()));
        assert_eq!(choose_cwd(Some(""), None, home), Cwd::Home);
    }
}
