//! Creates the default user in images that lack it.
//!
//! Only the `start` command does this: `serve` leaves the machine alone.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use nix::unistd::geteuid;
use silica_runtime_api::SANDBOX_USER;

use super::database::{parse_account, parse_names};
use super::{GROUP, PASSWD, read_database};

const FIRST_ID: u32 = 1000;
/// End of the ids for ordinary users (login.defs(5)).
const LAST_ID: u32 = 60_000;
const HOME: &str = "/home/user";
const SUDOERS: &str = "/etc/sudoers.d";
const SHADOW: &str = "/etc/shadow";
/// Whoever is in this group may become root, where the image has the group.
const SUDO_GROUP: &str = "sudo";

/// Which step of creating the user failed.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// Reading `path` failed.
    #[error("failed to read {path}")]
    Read { path: &'static str, source: io::Error },
    /// Changing `path` failed, for example on a read-only root filesystem.
    #[error("failed to write {path}")]
    Write { path: &'static str, source: io::Error },
}

/// Adds the user `user` with its home directory, the group `sudo` and passwordless sudo.
///
/// Does nothing when the user exists or the caller is not root.
pub fn provision_sandbox_user() -> Result<(), ProvisionError> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let read = |path| read_database(path).map_err(|source| ProvisionError::Read { path, source });
    let (passwd, group) = (read(PASSWD)?, read(GROUP)?);
    if parse_account(&passwd, SANDBOX_USER).is_some() {
        return Ok(());
    }
    let entries = plan_entries(&passwd, &group);
    if let Some(text) = &entries.group {
        replace(GROUP, text)?;
    }
    if Path::new(SHADOW).exists() {
        append(SHADOW, &format!("{SANDBOX_USER}:*:19000:0:99999:7:::\n"), 0o640)?;
    }
    append(PASSWD, &entries.passwd, 0o644)?;
    create_home(Path::new(HOME), entries.id, entries.gid)
        .map_err(|source| ProvisionError::Write { path: HOME, source })?;
    if Path::new(SUDOERS).is_dir() {
        allow_sudo().map_err(|source| ProvisionError::Write {
            path: SUDOERS,
            source,
        })?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Entries {
    id: u32,
    gid: u32,
    /// Lines to append to the users.
    passwd: String,
    /// All groups, if they change.
    group: Option<String>,
}

/// What to write, with the first id from 1000 on that neither a user nor a group has.
fn plan_entries(passwd: &str, group: &str) -> Entries {
    let (users, groups) = (parse_names(passwd), parse_names(group));
    let existing_group = groups
        .iter()
        .find(|(_, name)| *name == SANDBOX_USER)
        .map(|(id, _)| *id);
    let is_free =
        |id: &u32| !users.contains_key(id) && (existing_group.is_some() || !groups.contains_key(id));
    let id = (FIRST_ID..LAST_ID).find(is_free).unwrap_or(FIRST_ID);
    let gid = existing_group.unwrap_or(id);
    let separator = |text: &str| {
        if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        }
    };
    let root = if users.is_empty() {
        "root:x:0:0:root:/root:/bin/sh\n"
    } else {
        ""
    };
    let mut changed = join_group(group, SUDO_GROUP);
    if existing_group.is_none() {
        changed = format!("{changed}{}{SANDBOX_USER}:x:{gid}:\n", separator(&changed));
    }
    Entries {
        id,
        gid,
        passwd: format!(
            "{}{root}{SANDBOX_USER}:x:{id}:{gid}::{HOME}:/bin/bash\n",
            separator(passwd)
        ),
        group: (changed != group).then_some(changed),
    }
}

/// The text of `/etc/group` with the user as a member of the group, if there is such a group.
fn join_group(text: &str, group: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| {
        let (entry, end) = line.strip_suffix('\n').map_or((line, ""), |entry| (entry, "\n"));
        let fields: Vec<&str> = entry.split(':').collect();
        let [name, _, _, members] = fields[..] else {
            return line.to_owned();
        };
        if name != group || members.split(',').any(|member| member == SANDBOX_USER) {
            return line.to_owned();
        }
        let comma = if members.is_empty() { "" } else { "," };
        format!("{entry}{comma}{SANDBOX_USER}{end}")
    });
    lines.collect()
}

/// Exchanges a file for a new one with the same owner and mode: readers see one of them.
fn replace(path: &'static str, text: &str) -> Result<(), ProvisionError> {
    let partial = format!("{path}.partial");
    let write = || -> io::Result<()> {
        fs::write(&partial, text)?;
        if let Ok(old) = fs::metadata(path) {
            chown(&partial, Some(old.uid()), Some(old.gid()))?;
            fs::set_permissions(&partial, old.permissions())?;
        } else {
            fs::set_permissions(&partial, fs::Permissions::from_mode(0o644))?;
        }
        fs::rename(&partial, path)
    };
    write().map_err(|source| {
        // What could not be written is worth nothing.
        let _ = fs::remove_file(&partial);
        ProvisionError::Write { path, source }
    })
}

fn append(path: &'static str, text: &str, mode: u32) -> Result<(), ProvisionError> {
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| ProvisionError::Write { path, source })
}

/// Creates the home directory, filled from `/etc/skel` as useradd(8) does.
fn create_home(home: &Path, id: u32, gid: u32) -> io::Result<()> {
    fs::create_dir_all(home)?;
    chown(home, Some(id), Some(gid))?;
    fs::set_permissions(home, fs::Permissions::from_mode(0o755))?;
    let Ok(skeleton) = fs::read_dir("/etc/skel") else {
        return Ok(());
    };
    for entry in skeleton
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
    {
        let target = home.join(entry.file_name());
        if !target.exists() {
            fs::copy(entry.path(), &target)?;
            chown(&target, Some(id), Some(gid))?;
        }
    }
    Ok(())
}

fn allow_sudo() -> io::Result<()> {
    let path = Path::new(SUDOERS).join(SANDBOX_USER);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o440)
        .open(path)?;
    writeln!(file, "{SANDBOX_USER} ALL=(ALL:ALL) NOPASSWD: ALL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_gets_the_first_free_id() {
        let entries = plan_entries(
            "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/:\n",
            "root:x:0:\nx:x:1001:\n",
        );
        assert_eq!(entries.id, 1002);
        assert_eq!(entries.passwd, "user:x:1002:1002::/home/user:/bin/bash\n");
        let expected = "root:x:0:\nx:x:1001:\nuser:x:1002:\n";
        assert_eq!(entries.group.as_deref(), Some(expected));
    }

    #[test]
    fn existing_group_is_reused_and_an_unfinished_line_is_ended() {
        let entries = plan_entries("root:x:0:0::/root:/bin/sh", "user:x:500:\n");
        assert_eq!(entries.passwd, "\nuser:x:1000:500::/home/user:/bin/bash\n");
        assert_eq!((entries.id, entries.gid, entries.group), (1000, 500, None));
    }

    #[test]
    fn user_joins_the_group_sudo_where_there_is_one() {
        let group = |text| plan_entries("root:x:0:0::/root:/bin/sh\n", text).group;
        assert_eq!(
            group("sudo:x:27:\nuser:x:500:").as_deref(),
            Some("sudo:x:27:user\nuser:x:500:")
        );
        assert_eq!(
            group("user:x:500:\nsudo:x:27:ada,bob").as_deref(),
            Some("user:x:500:\nsudo:x:27:ada,bob,user")
        );
        assert_eq!(
            group("sudo:x:27:").as_deref(),
            Some("sudo:x:27:user\nuser:x:1000:\n")
        );
        assert_eq!(group("user:x:500:\nsudo:x:27:ada,user\n"), None);
    }

    #[test]
    fn home_belongs_to_the_user_and_its_group() {
        // Only root can give files away.
        let ids = if geteuid().is_root() {
            (4321, 1234)
        } else {
            (geteuid().as_raw(), nix::unistd::getegid().as_raw())
        };
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home/user");
        create_home(&home, ids.0, ids.1).unwrap();
        let owner = |path: &Path| {
            let metadata = fs::metadata(path).unwrap();
            (metadata.uid(), metadata.gid())
        };
        assert_eq!(owner(&home), ids);
        for entry in fs::read_dir(&home).unwrap().flatten() {
            assert_eq!(owner(&entry.path()), ids);
        }
    }

    #[test]
    fn image_without_users_gets_a_root_too() {
        assert!(plan_entries("", "").passwd.starts_with("root:x:0:0:"));
    }
}
