//! Describes files and directories.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use buffa::{EnumValue, MessageField};
use buffa_types::google::protobuf::Timestamp;

use super::{FsError, metadata};
use crate::account::Names;
use crate::proto::filesystem::{EntryInfo, FileType};

const PERMISSION_BITS: u32 = 0o777;

/// Describes what is at `path`; a link is described with the kind and mode of its target.
pub fn read_entry(path: &Path, names: &Names) -> Result<EntryInfo, FsError> {
    let own = fs::symlink_metadata(path).map_err(|source| FsError::from_io("stat", path, source))?;
    let mut entry = EntryInfo {
        name: path
            .file_name()
            .map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned()),
        path: path.to_string_lossy().into_owned(),
        size: i64::try_from(own.len()).unwrap_or(i64::MAX),
        owner: names.user(own.uid()),
        group: names.group(own.gid()),
        modified_time: MessageField::some(Timestamp {
            seconds: own.mtime(),
            nanos: i32::try_from(own.mtime_nsec()).unwrap_or_default(),
            ..Default::default()
        }),
        permissions: render_permissions(&own),
        ..Default::default()
    };
    let described = if own.is_symlink() {
        read_link(path, &mut entry)
    } else {
        Some(own)
    };
    match described {
        Some(found) => {
            entry.r#type = EnumValue::from(kind(&found));
            entry.mode = found.mode() & PERMISSION_BITS;
        }
        // A link to nothing is shown as the link that it is.
        None => entry.r#type = EnumValue::from(FileType::FILE_TYPE_SYMLINK),
    }
    entry.metadata = metadata::read(path).into_iter().collect();
    Ok(entry)
}

/// Notes where a link leads to and returns what is there.
fn read_link(path: &Path, entry: &mut EntryInfo) -> Option<Metadata> {
    let target: Option<PathBuf> = fs::canonicalize(path).ok();
    entry.symlink_target = Some(target.as_deref().unwrap_or(path).to_string_lossy().into_owned());
    fs::metadata(target?).ok()
}

fn kind(metadata: &Metadata) -> FileType {
    if metadata.is_dir() {
        FileType::FILE_TYPE_DIRECTORY
    } else if metadata.is_file() {
        FileType::FILE_TYPE_FILE
    } else {
        FileType::FILE_TYPE_UNSPECIFIED
    }
}

/// The characters that Go's `fs.FileMode.String` gives: kind letters, then nine permission characters.
fn render_permissions(metadata: &Metadata) -> String {
    let kind = metadata.file_type();
    let letters = if kind.is_dir() {
        "d"
    } else if kind.is_symlink() {
        "L"
    } else if kind.is_char_device() {
        "Dc"
    } else if kind.is_block_device() {
        "D"
    } else if kind.is_fifo() {
        "p"
    } else if kind.is_socket() {
        "S"
    } else {
        ""
    };
    render_mode(letters, metadata.mode())
}

fn render_mode(kind: &str, mode: u32) -> String {
    let mut letters = kind.to_owned();
    for (bit, letter) in [(0o4000, 'u'), (0o2000, 'g'), (0o1000, 't')] {
        if mode & bit != 0 {
            letters.push(letter);
        }
    }
    if letters.is_empty() {
        letters.push('-');
    }
    let bits = (0..9).rev().zip("rwxrwxrwx".chars());
    letters.extend(bits.map(|(bit, letter)| if mode & (1 << bit) == 0 { '-' } else { letter }));
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_in_go() {
        assert_eq!(render_mode("", 0o644), "-rw-r--r--");
        assert_eq!(render_mode("d", 0o755), "drwxr-xr-x");
        assert_eq!(render_mode("L", 0o777), "Lrwxrwxrwx");
        assert_eq!(render_mode("d", 0o1777), "dtrwxrwxrwx");
    }

    #[test]
    fn link_has_kind_and_mode_of_its_target() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "1234").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("file", &link).unwrap();
        let entry = read_entry(&link, &Names::default()).unwrap();
        assert_eq!(entry.r#type.as_known(), Some(FileType::FILE_TYPE_FILE));
        assert_eq!(
            entry.symlink_target,
            Some(fs::canonicalize(&file).unwrap().display().to_string())
        );
        assert!(entry.permissions.starts_with('L'));
        assert_eq!(entry.mode, fs::metadata(&file).unwrap().mode() & 0o777);
    }

    #[test]
    fn link_to_nothing_is_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("missing", &link).unwrap();
        let entry = read_entry(&link, &Names::default()).unwrap();
        assert_eq!(entry.r#type.as_known(), Some(FileType::FILE_TYPE_SYMLINK));
        assert_eq!(entry.symlink_target, Some(link.display().to_string()));
    }
}
