//! The trust store of Debian and its relatives: one file a CA in a folder, and
//! a program that makes the bundle and the links which programs read.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use silica_certs::inspect::Inspected;

use crate::certificates::env_block;

/// Where an administrator puts CAs, below the root.
const ADDED: &str = "usr/local/share/ca-certificates";
/// Where programs read them, below the root.
const READ: &str = "etc/ssl/certs";
/// The bundle in there.
const BUNDLE: &str = "ca-certificates.crt";
const PROGRAM: &str = "update-ca-certificates";
const PREFIX: &str = "silica-";
const SUFFIX: &str = ".crt";

/// Why the trust store did not change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store's program is not there.
    #[error("this system has no {PROGRAM}")]
    NoProgram,
    /// A file of the store could not be read, written or removed.
    #[error("failed to {step} {}", path.display())]
    File {
        /// What was tried.
        step: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The CA's file could not be written.
    #[error(transparent)]
    Write(#[from] Box<crate::cli::error::Error>),
    /// The store's program failed; files and bundle are as before.
    #[error("{PROGRAM} failed: {said}")]
    Update {
        /// Its last words.
        said: String,
    },
    /// The program succeeded and the bundle is without the CA; the files are as before.
    #[error("{PROGRAM} has not put {name} into {}", bundle.display())]
    NotTaken {
        /// Name of the CA's file.
        name: String,
        /// The bundle that programs read.
        bundle: PathBuf,
    },
}

impl Error {
    /// Whether another user could do it.
    pub fn is_permission(&self) -> bool {
        let source = match self {
            Self::File { source, .. } => source,
            Self::Write(error) => match &**error {
                crate::cli::error::Error::WriteFile { source, .. } => source,
                _ => return false,
            },
            _ => return false,
        };
        source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// Name of a CA's file: from its fingerprint, so that it is found again.
pub(super) fn file_name(one: &Inspected) -> String {
    let start = one.fingerprint.get(..16).unwrap_or(&one.fingerprint);
    format!("{PREFIX}{start}{SUFFIX}")
}

/// Writes each CA into a file of its own.
pub(super) fn split(folder: &Path, members: &[(Inspected, String)]) -> Result<Vec<PathBuf>, Error> {
    let mut written = Vec::with_capacity(members.len());
    for (one, pem) in members {
        let path = folder.join(file_name(one));
        env_block::write_file(&path, pem, env_block::PUBLIC).map_err(Box::new)?;
        written.push(path);
    }
    Ok(written)
}

/// A file that was written, with what was in it before.
struct Changed {
    path: PathBuf,
    former: Option<Vec<u8>>,
}

/// The trust store below a root.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store of the file system with this root.
    pub fn new(root: &Path) -> Self {
        // The store's program changes its folder, and makes links to what it is given.
        let absolute = fs::canonicalize(root).unwrap_or_else(|_missing| root.to_owned());
        Self { root: absolute }
    }

    /// Puts the CAs in. On failure files and bundle are as they were before.
    pub fn install(&self, members: &[(Inspected, String)]) -> Result<Vec<PathBuf>, Error> {
        let mut changed = Vec::new();
        let done = self
            .put(members, &mut changed)
            .and_then(|()| self.update())
            .and_then(|()| self.check_taken(members));
        if let Err(error) = done {
            self.undo(changed);
            return Err(error);
        }
        Ok(members.iter().map(|(one, _)| self.path(one)).collect())
    }

    /// Puts the former files back and has the bundle made of them; the error that
    /// led here is the one to tell.
    fn undo(&self, changed: Vec<Changed>) {
        let has_changed = !changed.is_empty();
        for one in changed {
            let _ = match &one.former {
                Some(former) => fs::write(&one.path, former),
                None => fs::remove_file(&one.path),
            };
        }
        if has_changed {
            let _ = self.update();
        }
    }

    /// Whether programs can read all of them.
    fn check_taken(&self, members: &[(Inspected, String)]) -> Result<(), Error> {
        let bundle = self.root.join(READ).join(BUNDLE);
        let text = fs::read_to_string(&bundle).map_err(failed("read", &bundle))?;
        match members.iter().find(|(_, pem)| !text.contains(pem.trim())) {
            None => Ok(()),
            Some((one, _)) => Err(Error::NotTaken {
                name: file_name(one),
                bundle,
            }),
        }
    }

    /// Takes these CAs out, or all that were ever put in here. Returns the
    /// files that were removed.
    pub fn uninstall(&self, only: Option<&[(Inspected, String)]>) -> Result<Vec<PathBuf>, Error> {
        let paths = match only {
            Some(members) => members.iter().map(|(one, _)| self.path(one)).collect(),
            None => self.ours()?,
        };
        let mut removed = Vec::new();
        for path in paths {
            match fs::remove_file(&path) {
                Ok(()) => removed.push(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed("remove", &path)(source)),
            }
        }
        if !removed.is_empty() {
            self.update()?;
        }
        Ok(removed)
    }

    fn path(&self, one: &Inspected) -> PathBuf {
        self.root.join(ADDED).join(file_name(one))
    }

    fn put(&self, members: &[(Inspected, String)], changed: &mut Vec<Changed>) -> Result<(), Error> {
        for (one, pem) in members {
            let path = self.path(one);
            let former = fs::read(&path).ok();
            if former.as_deref() == Some(pem.as_bytes()) {
                continue;
            }
            env_block::write_file(&path, pem, env_block::PUBLIC).map_err(Box::new)?;
            changed.push(Changed { path, former });
        }
        Ok(())
    }

    fn ours(&self) -> Result<Vec<PathBuf>, Error> {
        let folder = self.root.join(ADDED);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed("list", &folder)(source)),
        };
        let mut ours = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed("list", &folder))?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let middle = name
                .strip_prefix(PREFIX)
                .and_then(|rest| rest.strip_suffix(SUFFIX));
            let is_ours =
                |middle: &str| middle.len() == 16 && middle.bytes().all(|byte| byte.is_ascii_hexdigit());
            if middle.is_some_and(is_ours) {
                ours.push(path);
            }
        }
        ours.sort();
        Ok(ours)
    }

    /// Has the bundle made again.
    fn update(&self) -> Result<(), Error> {
        let mut command = Command::new(PROGRAM);
        if self.root != Path::new("/") {
            for (flag, place) in [
                ("--certsconf", "etc/ca-certificates.conf"),
                ("--certsdir", "usr/share/ca-certificates"),
                ("--localcertsdir", ADDED),
                ("--etccertsdir", READ),
                ("--hooksdir", "etc/ca-certificates/update.d"),
            ] {
                command.arg(flag).arg(self.root.join(place));
            }
        }
        let output = match command.output() {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NoProgram),
            Err(source) => return Err(failed("run", Path::new(PROGRAM))(source)),
        };
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        Err(Error::Update {
            said: last.unwrap_or("it said nothing").to_owned(),
        })
    }
}

fn failed(step: &'static str, path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File {
        step,
        path: path.clone(),
        source,
    }
}
