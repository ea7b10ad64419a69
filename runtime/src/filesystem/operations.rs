//! Changes to files and directories.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::FsError;
use super::entry::read_entry;
use crate::account::{Account, Names};
use crate::proto::filesystem::EntryInfo;

/// Gives a path to a user; only root can, others own what they create anyway.
pub fn give(path: &Path, account: &Account) -> io::Result<()> {
    if geteuid().is_root() {
        chown(path, Some(account.uid), Some(account.gid))
    } else {
        Ok(())
    }
}

/// Gives an open file to a user.
pub fn give_file(file: &File, account: &Account) -> io::Result<()> {
    if geteuid().is_root() {
        std::os::unix::fs::fchown(file, Some(account.uid), Some(account.gid))
    } else {
        Ok(())
    }
}

/// Creates the missing directories of `path`, each owned by `account`.
pub fn create_directories(path: &Path, account: &Account) -> Result<(), FsError> {
    let mut missing = Vec::new();
    let mut current = path;
    loop {
        match fs::metadata(current) {
            Ok(metadata) if metadata.is_dir() => break,
            Ok(_) => return Err(FsError::NotDirectory(current.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(current),
            Err(error) => return Err(FsError::from_io("stat", current, error)),
        }
        match current.parent() {
            Some(parent) => current = parent,
            None => break,
        }
    }
    for directory in missing.into_iter().rev() {
        match fs::create_dir(directory) {
            Ok(()) => {
                give(directory, account).map_err(|source| FsError::from_io("chown", directory, source))?;
            }
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
            Err(error) => return Err(FsError::from_io("create directory", directory, error)),
        }
    }
    Ok(())
}

/// Creates a directory and its parents; an existing one is an error.
pub fn make_directory(path: &Path, account: &Account) -> Result<EntryInfo, FsError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(FsError::Exists(path.to_owned())),
        Ok(_) => return Err(FsError::NotDirectory(path.to_owned())),
        Err(_) => create_directories(path, account)?,
    }
    read_entry(path, &Names::read())
}

/// Lists a directory down to `depth` levels: lexical order, parents before children.
pub fn list_directory(path: &Path, depth: u32) -> Result<Vec<EntryInfo>, FsError> {
    let metadata = fs::metadata(path).map_err(|source| FsError::from_io("stat", path, source))?;
    if !metadata.is_dir() {
        return Err(FsError::NotDirectory(path.to_owned()));
    }
    let names = Names::read();
    let mut entries = Vec::new();
    list_level(path, depth.max(1), &names, &mut entries)?;
    Ok(entries)
}

fn list_level(path: &Path, depth: u32, names: &Names, entries: &mut Vec<EntryInfo>) -> Result<(), FsError> {
    let children = fs::read_dir(path).map_err(|source| FsError::from_io("list", path, source))?;
    let mut children: Vec<_> = children.flatten().collect();
    children.sort_by_key(fs::DirEntry::file_name);
    for child in children {
        let child_path = child.path();
        // What vanishes while it is listed is left out.
        let Ok(entry) = read_entry(&child_path, names) else {
            continue;
        };
        entries.push(entry);
        if depth > 1 && child.file_type().is_ok_and(|kind| kind.is_dir()) {
            match list_level(&child_path, depth - 1, names, entries) {
                Ok(()) | Err(FsError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Moves a file or directory, across file systems too; overwrites a file.
pub fn rename(source: &Path, destination: &Path, account: &Account) -> Result<EntryInfo, FsError> {
    if let Err(error) = fs::symlink_metadata(source) {
        return Err(FsError::from_io("stat", source, error));
    }
    if let Some(parent) = destination.parent() {
        create_directories(parent, account)?;
    }
    match fs::rename(source, destination) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            move_across_devices(source, destination)?;
        }
        Err(error) => {
            return Err(FsError::Io {
                action: "move",
                path: source.to_owned(),
                source: error,
            });
        }
    }
    read_entry(destination, &Names::read())
}

/// Copies below a temporary name first, so that a failure leaves the destination alone.
fn move_across_devices(source: &Path, destination: &Path) -> Result<(), FsError> {
    let name = destination
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let copy = destination.with_file_name(format!(".{name}.{}.moving", std::process::id()));
    let result = copy_tree(source, &copy).and_then(|()| {
        fs::rename(&copy, destination).map_err(|error| FsError::from_io("move", destination, error))
    });
    if result.is_err() {
        // The failure is what matters; a left-over copy is only untidy.
        let _ = remove(&copy);
        return result;
    }
    remove(source)
}

fn copy_tree(source: &Path, destination: &Path) -> Result<(), FsError> {
    let failed = |error| FsError::from_io("copy", source, error);
    let metadata = fs::symlink_metadata(source).map_err(failed)?;
    if metadata.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(source).map_err(failed)?, destination).map_err(failed)?;
    } else if metadata.is_dir() {
        fs::create_dir(destination).map_err(failed)?;
        for child in fs::read_dir(source).map_err(failed)? {
            let child = child.map_err(failed)?;
            copy_tree(&child.path(), &destination.join(child.file_name()))?;
        }
        fs::set_permissions(destination, metadata.permissions()).map_err(failed)?;
    } else {
        fs::copy(source, destination).map_err(failed)?;
    }
    if geteuid().is_root() {
        lchown(destination, Some(metadata.uid()), Some(metadata.gid())).map_err(failed)?;
    }
    Ok(())
}

/// Removes a file or a whole directory; a missing one counts as removed.
pub fn remove(path: &Path) -> Result<(), FsError> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(()),
        Err(source) => Err(FsError::Io {
            action: "remove",
            path: PathBuf::from(path),
            source,
        }),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            name: "me".into(),
            uid: geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: Vec::new(),
            home: "/".into(),
        }
    }

    #[test]
    fn listing_is_ordered_and_does_not_enter_links() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/c")).unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        std::os::unix::fs::symlink("b", root.path().join("z")).unwrap();
        let names = |depth| {
            let entries = list_directory(root.path(), depth).unwrap();
            entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
        };
        assert_eq!(names(0), ["a", "b", "z"]);
        assert_eq!(names(2), ["a", "b", "c", "z"]);
    }

    #[test]
    fn existing_directory_and_file_in_the_way_are_different_errors() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(
            make_directory(root.path(), &account()),
            Err(FsError::Exists(_))
        ));
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(
            make_directory(&file.join("x"), &account()),
            Err(FsError::NotDirectory(_))
        ));
        assert_eq!(
            make_directory(&root.path().join("x/y"), &account()).unwrap().name,
            "y"
        );
    }

    #[test]
    fn removing_twice_succeeds_and_a_missing_source_cannot_be_moved() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        fs::create_dir(&path).unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(matches!(
            rename(&path, &root.path().join("y"), &account()),
            Err(FsError::NotFound(_))
        ));
    }

    #[test]
    fn move_creates_parents_and_overwrites_files() {
        let root = tempfile::tempdir().unwrap();
        let (source, destination) = (root.path().join("s"), root.path().join("new/d"));
        fs::write(&source, "1").unwrap();
        rename(&source, &destination, &account()).unwrap();
        fs::write(&source, "2").unwrap();
        rename(&source, &destination, &account()).unwrap();
        assert_eq!(fs::read(&destination).unwrap(), b"2");
    }

    #[test]
    fn trees_are_copied_with_links_and_modes() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("s");
        fs::create_dir_all(source.join("d")).unwrap();
        fs::write(source.join("d/f"), "text").unwrap();
        std::os::unix::fs::symlink("d/f", source.join("l")).unwrap();
        let destination = root.path().join("t");
        move_across_devices(&source, &destination).unwrap();
        assert!(!source.exists());
        assert_eq!(fs::read_link(destination.join("l")).unwrap(), Path::new("d/f"));
        assert_eq!(fs::read(destination.join("d/f")).unwrap(), b"text");
    }
}
