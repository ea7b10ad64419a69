//! What can go wrong with files.

use std::io;
use std::path::{Path, PathBuf};

use connectrpc::ConnectError;

/// A failed operation; SDKs show these texts.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// Nothing has this path.
    #[error("path '{}' does not exist", .0.display())]
    NotFound(PathBuf),
    /// A directory is needed here.
    #[error("path '{}' is not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// A file is needed here.
    #[error("path '{}' is a directory", .0.display())]
    IsDirectory(PathBuf),
    /// Something has this path already.
    #[error("path '{}' already exists", .0.display())]
    Exists(PathBuf),
    /// A regular file is needed here.
    #[error("path '{}' is not a regular file", .0.display())]
    NotFile(PathBuf),
    /// Watching would miss what other machines change.
    #[error("path '{}' is on a network file system, which cannot be watched reliably", .0.display())]
    NetworkMount(PathBuf),
    /// No watcher has this id.
    #[error("watcher with id {0} not found")]
    UnknownWatcher(String),
    /// The disk is full.
    #[error("not enough disk space for '{}'", .0.display())]
    NoSpace(PathBuf),
    /// The system refused.
    #[error("failed to {action} '{}': {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl FsError {
    /// Tells apart the failures of the system that clients can tell apart.
    pub fn from_io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(path),
            io::ErrorKind::NotADirectory => Self::NotDirectory(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace(path),
            _ => Self::Io { action, path, source },
        }
    }
}

impl From<FsError> for ConnectError {
    fn from(error: FsError) -> Self {
        let message = error.to_string();
        match error {
            FsError::NotFound(_) | FsError::UnknownWatcher(_) => Self::not_found(message),
            FsError::NotDirectory(_)
            | FsError::IsDirectory(_)
            | FsError::NotFile(_)
            | FsError::NetworkMount(_) => Self::invalid_argument(message),
            FsError::Exists(_) => Self::already_exists(message),
            FsError::NoSpace(_) => Self::resource_exhausted(message),
            FsError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Self::permission_denied(message)
            }
            FsError::Io { .. } => Self::internal(message),
        }
    }
}
