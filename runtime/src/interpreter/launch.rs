//! Finds the program of a kernel and prepares what it needs to start.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::language::Language;
use super::message::random_hex;
use crate::account::Account;
use crate::filesystem::operations::give;
use crate::process::{Exit, Reaper};

/// Run by ipykernel when it starts.
const STARTUP: (&str, &str) = ("startup.py", include_str!("startup.py"));
/// The kernel that Node runs.
const JAVASCRIPT: [(&str, &str); 4] = [
    ("kernel.js", include_str!("javascript/kernel.js")),
    ("cell.js", include_str!("javascript/cell.js")),
    ("typescript.js", include_str!("javascript/typescript.js")),
    ("wire.js", include_str!("javascript/wire.js")),
];
/// Where Jupyter keeps kernel specifications for the whole machine.
const SPECIFICATIONS: [&str; 2] = ["/usr/local/share/jupyter", "/usr/share/jupyter"];
/// More such directories, as Jupyter itself reads them; searched first.
const SPECIFICATIONS_ENV: &str = "JUPYTER_PATH";

/// Directory with the sockets of one kernel; vanishes with the value.
pub(super) struct Workplace {
    directory: PathBuf,
    /// Signs messages.
    pub key: String,
}

impl Workplace {
    /// Creates the directory with what the program needs, open to the kernel's user only.
    pub(super) fn create(program: &KernelProgram, account: &Account) -> io::Result<Self> {
        let id = random_hex();
        // Short, as the path of a socket has at most 107 bytes (unix(7)).
        let directory = std::env::temp_dir().join(format!(".kernel-{}", &id[..12]));
        fs::create_dir(&directory)?;
        let workplace = Self {
            directory,
            key: random_hex(),
        };
        fs::set_permissions(&workplace.directory, Permissions::from_mode(0o700))?;
        workplace.write("connection.json", &workplace.render_connection(), account)?;
        for (name, text) in program.files() {
            workplace.write(name, text, account)?;
        }
        give(&workplace.directory, account)?;
        Ok(workplace)
    }

    /// Path of the socket of one channel.
    pub(super) fn socket(&self, channel: Channel) -> PathBuf {
        self.directory.join(format!("s-{}", channel as u8))
    }

    pub(super) fn connection_file(&self) -> PathBuf {
        self.directory.join("connection.json")
    }

    fn file(&self, (name, _): (&str, &str)) -> PathBuf {
        self.directory.join(name)
    }

    fn render_connection(&self) -> String {
        json!({
            "transport": "ipc",
            // Jupyter appends a dash and the port.
            "ip": self.directory.join("s"),
            "shell_port": Channel::Shell as u8,
            "iopub_port": Channel::Output as u8,
            "stdin_port": Channel::Input as u8,
            "control_port": Channel::Control as u8,
            "hb_port": Channel::Heartbeat as u8,
            "key": self.key,
            "signature_scheme": "hmac-sha256",
            "kernel_name": "",
        })
        .to_string()
    }

    fn write(&self, name: &str, text: &str, account: &Account) -> io::Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        give(&path, account)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What stays behind is harmless.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Channels of a kernel (Jupyter protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Shell = 1,
    Output = 2,
    Input = 3,
    Control = 4,
    Heartbeat = 5,
}

/// Command line of a kernel, with a placeholder for the connection file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KernelProgram {
    /// `python3 -m ipykernel_launcher` with our profile.
    Ipykernel { python: PathBuf },
    /// Our own kernel, run by Node.
    Node { node: PathBuf, language: Language },
    /// What a kernel specification says.
    Specified { arguments: Vec<String> },
}

impl KernelProgram {
    /// The program for a language, if this machine has one.
    pub(super) async fn find(language: Language, reaper: &Reaper) -> Option<Self> {
        if language == Language::Python
            && let Some(python) = find_python(reaper).await
        {
            return Some(Self::Ipykernel { python });
        }
        let added = std::env::var_os(SPECIFICATIONS_ENV).unwrap_or_default();
        // A kernel that somebody has put into the image is there for a reason.
        find_specification(language, &specification_roots(&added)).or_else(|| {
            matches!(language, Language::Javascript | Language::Typescript)
                .then(find_node)
                .flatten()
                .map(|node| Self::Node { node, language })
        })
    }

    /// Files that the program needs beside it.
    fn files(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ipykernel { .. } => &[STARTUP],
            Self::Node { .. } => &JAVASCRIPT,
            Self::Specified { .. } => &[],
        }
    }

    /// The command that starts the kernel.
    pub(super) fn command(&self, workplace: &Workplace) -> Command {
        let connection = workplace.connection_file();
        match self {
            Self::Ipykernel { python } => {
                let mut command = Command::new(python);
                command.args(["-m", "ipykernel_launcher", "-f"]).arg(connection);
                command.arg(format!(
                    "--IPKernelApp.exec_files={}",
                    workplace.file(STARTUP).display()
                ));
                command.arg("--HistoryManager.hist_file=:memory:");
                command
            }
            Self::Node { node, language } => {
                let mut command = Command::new(node);
                // The kernel uses the parser that Node has inside.
                command
                    .arg("--expose-internals")
                    .arg(workplace.file(JAVASCRIPT[0]))
                    .arg(connection)
                    .arg(language.name());
                command
            }
            Self::Specified { arguments } => {
                let connection = connection.to_string_lossy();
                let mut arguments = arguments
                    .iter()
                    .map(|argument| argument.replace("{connection_file}", &connection));
                let mut command = Command::new(arguments.next().unwrap_or_default());
                command.args(arguments);
                command
            }
        }
    }
}

/// Directories with kernel specifications, the most specific first.
fn specification_roots(added: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(added)
        .filter(|path| path.is_absolute())
        .chain(SPECIFICATIONS.map(PathBuf::from))
        .collect()
}

/// The best kernel for a language: its name counts more than where it is.
fn find_specification(language: Language, roots: &[PathBuf]) -> Option<KernelProgram> {
    let names = language.kernel_names().iter();
    let paths = names.flat_map(|name| {
        roots
            .iter()
            .map(move |root| root.join("kernels").join(name).join("kernel.json"))
    });
    paths
        .filter_map(|path| parse_specification(&fs::read_to_string(path).ok()?))
        .map(|arguments| KernelProgram::Specified { arguments })
        .next()
}

/// The first Node in the search path.
fn find_node() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["node", "nodejs"];
    std::env::split_paths(&path)
        .flat_map(|directory| names.map(|name| directory.join(name)))
        .find(|node| node.is_file())
}

/// The first `python3` in the search path that has ipykernel.
async fn find_python(reaper: &Reaper) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    for python in std::env::split_paths(&path).map(|directory| directory.join("python3")) {
        if python.is_file() && has_ipykernel(&python, reaper).await {
            return Some(python);
        }
    }
    None
}

async fn has_ipykernel(python: &Path, reaper: &Reaper) -> bool {
    let check = "import importlib.util, sys; sys.exit(importlib.util.find_spec('ipykernel') is None)";
    let mut command = Command::new(python);
    command
        .args(["-c", check])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match reaper.spawn(&mut command) {
        Ok(spawned) => spawned.exit.await == Ok(Exit::Code(0)),
        Err(_) => false,
    }
}

fn parse_specification(text: &str) -> Option<Vec<String>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let arguments: Vec<_> = value
        .get("argv")?
        .as_array()?
        .iter()
        .filter_map(|argument| Some(argument.as_str()?.to_owned()))
        .collect();
    (!arguments.is_empty()).then_some(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specification_names_the_command() {
        let text = r#"{"argv": ["bash_kernel", "-f", "{connection_file}"], "language": "bash"}"#;
        assert_eq!(
            parse_specification(text).unwrap(),
            ["bash_kernel", "-f", "{connection_file}"]
        );
        assert_eq!(parse_specification(r#"{"argv": []}"#), None);
    }

    #[test]
    fn better_kernel_of_a_language_wins_wherever_it_is() {
        let root = tempfile::tempdir().unwrap();
        let [own, shared] = ["own", "shared"].map(|name| root.path().join(name));
        for (place, kernel) in [(&own, "deno"), (&shared, "javascript"), (&shared, "deno")] {
            let directory = place.join("kernels").join(kernel);
            fs::create_dir_all(&directory).unwrap();
            let text = json!({"argv": [kernel, place, "{connection_file}"]}).to_string();
            fs::write(directory.join("kernel.json"), text).unwrap();
        }
        let found = |language, roots: &[PathBuf]| match find_specification(language, roots)? {
            KernelProgram::Specified { arguments } => Some(arguments[..2].join(" ")),
            KernelProgram::Ipykernel { .. } | KernelProgram::Node { .. } => None,
        };
        let both = [own.clone(), shared.clone()];
        assert_eq!(
            found(Language::Typescript, &both),
            Some(format!("javascript {}", shared.display()))
        );
        fs::remove_dir_all(shared.join("kernels/javascript")).unwrap();
        assert_eq!(
            found(Language::Javascript, &both),
            Some(format!("deno {}", own.display()))
        );
        assert_eq!(found(Language::Bash, &both), None);
    }

    #[test]
    fn added_directories_come_before_those_of_the_machine() {
        let roots = specification_roots(OsStr::new("/a/share/jupyter:relative:/b"));
        let first: Vec<_> = roots.iter().take(3).map(|path| path.to_str().unwrap()).collect();
        assert_eq!(first, ["/a/share/jupyter", "/b", SPECIFICATIONS[0]]);
    }
}
