//! One path of an in-memory layer.

use crate::Error;

/// A file, directory or symbolic link owned by root, as it will stand in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    path: String,
    mode: u32,
    kind: EntryKind,
}

/// What stands at an entry's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file with this content.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link to this target, stored as given.
    Symlink(String),
}

impl Entry {
    /// A regular file with permission bits `mode`.
    pub fn file(path: impl Into<String>, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            mode,
            kind: EntryKind::File(content.into()),
        }
    }

    /// A directory with permission bits `mode` (sticky and setgid included).
    pub fn directory(path: impl Into<String>, mode: u32) -> Self {
        Self {
            path: path.into(),
            mode,
            kind: EntryKind::Directory,
        }
    }

    /// A symbolic link.
    pub fn symlink(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            mode: 0o777,
            kind: EntryKind::Symlink(target.into()),
        }
    }

    /// Permission bits.
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// What stands at the path.
    pub fn kind(&self) -> &EntryKind {
        &self.kind
    }

    /// The path relative to the image's root: `/bin//sh` is `bin/sh`.
    pub(crate) fn relative_path(&self) -> Result<String, Error> {
        let parts: Vec<&str> = self
            .path
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts.is_empty() || parts.contains(&"..") || self.path.contains('\0') {
            return Err(Error::PathOutsideImage {
                path: self.path.clone(),
            });
        }
        Ok(parts.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_and_untidy_paths_become_relative() {
        assert_eq!(
            Entry::directory("/a//./b/", 0o755).relative_path().unwrap(),
            "a/b"
        );
    }

    #[test]
    fn path_that_leaves_the_image_is_refused() {
        for path in ["", "/", "../etc", "a/../../b", "a\0b"] {
            assert!(Entry::directory(path, 0o755).relative_path().is_err(), "{path:?}");
        }
    }
}
