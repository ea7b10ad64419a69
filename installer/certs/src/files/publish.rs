//! Files that appear together or not at all.
//!
//! All are written under temporary names first, with copies of those that they
//! replace. Renaming takes no more space; when it fails nevertheless, what was
//! renamed goes back.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::Error;

/// A file as it shall be.
pub(super) struct Wanted<'a> {
    name: &'a str,
    text: &'a str,
    mode: u32,
    once: bool,
}

impl<'a> Wanted<'a> {
    /// One that replaces what is there.
    pub(super) const fn new(name: &'a str, text: &'a str, mode: u32) -> Self {
        Self {
            name,
            text,
            mode,
            once: false,
        }
    }

    /// The same file, which must not exist, also not by somebody who was quicker.
    pub(super) const fn once(self) -> Self {
        Self { once: true, ..self }
    }
}

/// A file under its temporary name.
struct Staged {
    path: PathBuf,
    next: NamedTempFile,
    former: Option<NamedTempFile>,
    once: bool,
}

impl Staged {
    fn put(self) -> Result<Put, (PathBuf, io::Error)> {
        let put = if self.once {
            self.next.persist_noclobber(&self.path)
        } else {
            self.next.persist(&self.path)
        };
        match put {
            Ok(_) => Ok(Put {
                path: self.path,
                former: self.former,
            }),
            Err(error) => Err((self.path, error.error)),
        }
    }
}

/// A file under its own name, with a copy of what was there.
struct Put {
    path: PathBuf,
    former: Option<NamedTempFile>,
}

impl Put {
    /// Goes back; the error that led here is the one to tell.
    fn undo(self) {
        let _ = match self.former {
            Some(former) => former.persist(&self.path).map(drop).map_err(|error| error.error),
            None => fs::remove_file(&self.path),
        };
    }
}

/// Writes all files into the folder, which is made when it does not exist.
/// Returns their paths in their order.
pub(super) fn all(folder: &Path, wanted: &[Wanted<'_>]) -> Result<Vec<PathBuf>, Error> {
    let made = make(folder)?;
    let done = stage(folder, wanted).and_then(put);
    if done.is_err() {
        remove(&made);
    }
    done
}

fn stage(folder: &Path, wanted: &[Wanted<'_>]) -> Result<Vec<Staged>, Error> {
    let mut staged = Vec::with_capacity(wanted.len());
    for one in wanted {
        let path = folder.join(one.name);
        let former = if one.once { Ok(None) } else { copy(folder, &path) };
        let both = former.and_then(|former| Ok((former, whole(folder, one.text.as_bytes(), one.mode)?)));
        match both {
            Ok((former, next)) => staged.push(Staged {
                path,
                next,
                former,
                once: one.once,
            }),
            Err(source) => return Err(Error::Write { path, source }),
        }
    }
    Ok(staged)
}

fn put(staged: Vec<Staged>) -> Result<Vec<PathBuf>, Error> {
    let mut done: Vec<Put> = Vec::with_capacity(staged.len());
    for one in staged {
        match one.put() {
            Ok(one) => done.push(one),
            Err((path, source)) => {
                done.into_iter().rev().for_each(Put::undo);
                return Err(Error::Write { path, source });
            }
        }
    }
    Ok(done.into_iter().map(|one| one.path).collect())
}

/// A copy of the file with its mode, if there is one.
fn copy(folder: &Path, path: &Path) -> io::Result<Option<NamedTempFile>> {
    let mode = match fs::metadata(path) {
        Ok(found) => found.permissions().mode() & 0o7777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let content = zeroize::Zeroizing::new(fs::read(path)?);
    whole(folder, &content, mode).map(Some)
}

/// A complete file under a temporary name, created with its final mode at most.
fn whole(folder: &Path, content: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut file = Builder::new()
        .prefix(".silica-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes the folder and those above it; returns those that did not exist, the
/// deepest first.
fn make(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let missing: Vec<PathBuf> = folder
        .ancestors()
        .take_while(|one| !one.as_os_str().is_empty() && !one.exists())
        .map(Path::to_owned)
        .collect();
    fs::create_dir_all(folder).map_err(|source| {
        remove(&missing);
        Error::Write {
            path: folder.to_owned(),
            source,
        }
    })?;
    Ok(missing)
}

/// Removes folders that are empty again.
fn remove(folders: &[PathBuf]) {
    for folder in folders {
        let _ = fs::remove_dir(folder);
    }
}
