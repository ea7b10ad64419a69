//! The password of an encrypted private key: from a file or from a variable.
//! Never from the command line, which every user of the machine can read.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use zeroize::Zeroizing;

/// The variable that has the password when no file is named.
pub const VARIABLE: &str = "SILICA_KEY_PASSWORD";
/// What to do about an encrypted key.
pub const HINT: &str =
    "give its password with --key-password-file FILE, or in the variable SILICA_KEY_PASSWORD";
/// Longest password file that is read, in bytes.
const LENGTH_MAX: u64 = 4096;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("failed to read the password file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file cannot be one with a password.
    #[error("the password file {} {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A password. No `Debug`; overwritten when dropped.
pub(super) type Password = Zeroizing<Vec<u8>>;

/// The flag that names it.
#[derive(Args, Clone, Debug, Default)]
pub struct KeyPasswordArgs {
    /// File with the password of an encrypted private key in its first line; the variable `SILICA_KEY_PASSWORD` when absent
    #[arg(long, value_name = "FILE")]
    pub key_password_file: Option<PathBuf>,
}

impl KeyPasswordArgs {
    /// Reads the password, if there is one.
    pub(super) fn read(&self) -> Result<Option<Password>, Error> {
        match &self.key_password_file {
            Some(path) => read_first_line(path).map(Some),
            None => Ok(std::env::var_os(VARIABLE)
                .map(|value| Zeroizing::new(value.into_vec()))
                .filter(|value| !value.is_empty())),
        }
    }
}

/// The first line, without its end, as `openssl -passin file:` reads it.
fn read_first_line(path: &Path) -> Result<Password, Error> {
    let unreadable = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let unusable = |why| Error::Content {
        path: path.to_owned(),
        why,
    };
    // Room for all of it, so that no copy stays behind in memory given up.
    let mut line = Zeroizing::new(Vec::with_capacity(usize::try_from(LENGTH_MAX).unwrap_or(0) + 1));
    let file = File::open(path).map_err(unreadable)?;
    file.take(LENGTH_MAX).read_to_end(&mut line).map_err(unreadable)?;
    match line.iter().position(|byte| *byte == b'\n') {
        Some(end) => line.truncate(end),
        None if line.len() as u64 == LENGTH_MAX => return Err(unusable("has a first line that is too long")),
        None => {}
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.is_empty() {
        return Err(unusable("has an empty first line"));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: &[u8]) -> Result<Vec<u8>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, content).unwrap();
        read_first_line(&path).map(|line| line.to_vec())
    }

    #[test]
    fn the_password_is_the_first_line_without_its_end() {
        for content in ["pass word", "pass word\n", "pass word\r\n", "pass word\nsecond\n"] {
            assert_eq!(of(content.as_bytes()).unwrap(), b"pass word", "{content:?}");
        }
        assert_eq!(of(&[0xff, b' ', b'\n']).unwrap(), [0xff, b' ']);
    }

    #[test]
    fn empty_endless_and_missing_files_are_refused() {
        assert!(matches!(of(b""), Err(Error::Content { .. })));
        assert!(matches!(of(b"\r\nsecond"), Err(Error::Content { .. })));
        for endless in ["/dev/zero", "/missing/password"] {
            let error = read_first_line(Path::new(endless)).map(|_| ()).unwrap_err();
            assert!(error.to_string().contains(endless), "{error}");
        }
    }
}
