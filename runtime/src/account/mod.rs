//! Users of the sandbox, read from `/etc/passwd` and `/etc/group` directly: the
//! daemon is static and must work in images without a name service.

mod database;
mod provision;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use nix::unistd::geteuid;

pub use database::{parse_account, parse_group_ids, parse_names};
pub use provision::{ProvisionError, provision_sandbox_user};

use crate::os::spawn::Credentials;

pub(crate) const PASSWD: &str = "/etc/passwd";
pub(crate) const GROUP: &str = "/etc/group";

/// A user that processes run as and files belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Ids of all groups.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
}

/// Why a user could not be found.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no such user; the text is what SDKs show.
    #[error("invalid username: '{0}'")]
    Unknown(String),
    /// The user database could not be read.
    #[error("failed to read the user database")]
    Read(#[source] io::Error),
}

impl Account {
    /// Looks a user up by name.
    pub fn read(name: &str) -> Result<Self, AccountError> {
        let passwd = read_database(PASSWD).map_err(AccountError::Read)?;
        let mut account = match parse_account(&passwd, name) {
            Some(account) => account,
            // An image from scratch has no user database, yet has a root.
            None if name == "root" => Self {
                name: "root".to_owned(),
                uid: 0,
                gid: 0,
                groups: Vec::new(),
                home: PathBuf::from("/root"),
            },
            None => return Err(AccountError::Unknown(name.to_owned())),
        };
        let groups = read_database(GROUP).map_err(AccountError::Read)?;
        account.groups = parse_group_ids(&groups, &account.name, account.gid);
        Ok(account)
    }

    /// What a child has to become to run as this user; `None` when the daemon already is it.
    pub fn credentials(&self) -> Option<Credentials> {
        let own = geteuid().as_raw();
        let keep = own != 0 && own == self.uid;
        (!keep).then(|| Credentials {
            uid: self.uid,
            gid: self.gid,
            groups: self.groups.clone(),
        })
    }
}

/// Names of numeric user and group ids.
#[derive(Debug, Default)]
pub struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    /// Reads both databases; an unreadable one counts as empty.
    pub fn read() -> Self {
        let users = parse_names(&read_database(PASSWD).unwrap_or_default());
        let groups = parse_names(&read_database(GROUP).unwrap_or_default());
        Self { users, groups }
    }

    /// Name of a user, or its number when it has none.
    pub fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// Name of a group, or its number when it has none.
    pub fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }
}

/// Whether a user of this name exists.
pub fn account_exists(name: &str) -> bool {
    read_database(PASSWD).is_ok_and(|passwd| parse_account(&passwd, name).is_some())
}

fn read_database(path: &str) -> io::Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}
