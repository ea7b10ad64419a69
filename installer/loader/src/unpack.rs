//! Joins, unpacks, checks, and only then puts the executable in place.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt::{self, Write as _};

use rustix::{fs::Mode, io::Errno};
use ruzstd::{decoding::StreamingDecoder, io::Read as _};
use sha2::{Digest, Sha256};

use crate::files;

/// Everybody may run it, nobody may change it.
const MODE: Mode = Mode::from_raw_mode(0o555);
/// Bytes unpacked at a time.
const BUFFER: usize = 64 * 1024;

/// Why the executable is not in place.
#[derive(Debug)]
pub enum Error {
    /// A chunk cannot be read.
    Read { path: String, source: Errno },
    /// The chunks are no Zstandard stream, or not all of it.
    Decode { why: String },
    /// The file cannot be written.
    Write { path: String, source: Errno },
    /// The content is not what was promised.
    Mismatch {
        path: String,
        found: String,
        expected: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "failed to read {path}: {source}"),
            Self::Decode { why } => write!(f, "failed to unpack the chunks: {why}"),
            Self::Write { path, source } => write!(f, "failed to write {path}: {source}"),
            Self::Mismatch {
                path,
                found,
                expected,
            } => write!(
                f,
                "failed to verify {path}: its SHA-256 is {found}, not {expected}"
            ),
        }
    }
}

/// Unpacks the chunks of `folder` into the executable `into`. What is partial or wrong never
/// gets that name.
pub fn unpack(folder: &str, into: &str, sha256: &str) -> Result<(), Error> {
    let partial = format!("{into}.partial");
    // Left over by a container that was killed, perhaps.
    let _ = rustix::fs::unlink(&*partial);
    let outcome = write(&read_chunks(folder)?, &partial, sha256).and_then(|()| {
        rustix::fs::rename(&*partial, into).map_err(|source| Error::Write {
            path: into.to_string(),
            source,
        })
    });
    if outcome.is_err() {
        // It may not exist; what failed before is what counts.
        let _ = rustix::fs::unlink(&*partial);
    }
    outcome
}

/// `chunk-00`, `chunk-01` and so on, joined.
fn read_chunks(folder: &str) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    for index in 0.. {
        let path = format!("{folder}/chunk-{index:02}");
        match files::read(&path, &mut content) {
            Ok(()) => {}
            Err(Errno::NOENT) if index > 0 => break,
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    Ok(content)
}

fn write(compressed: &[u8], partial: &str, expected: &str) -> Result<(), Error> {
    let failed = |source| Error::Write {
        path: partial.to_string(),
        source,
    };
    let decode = |why: String| Error::Decode { why };
    let mut decoder = StreamingDecoder::new(compressed).map_err(|error| decode(error.to_string()))?;
    let file = files::create(partial).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = decoder
            .read(&mut buffer)
            .map_err(|error| decode(error.to_string()))?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        files::write(&file, &buffer[..count]).map_err(failed)?;
    }
    let found = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    if found != expected {
        return Err(Error::Mismatch {
            path: partial.to_string(),
            found,
            expected: expected.to_string(),
        });
    }
    rustix::fs::fchmod(&file, MODE).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// `hello\n` as a Zstandard frame with one raw block (RFC 8878 section 3.1.1).
    const HELLO: [u8; 15] = [
        0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x06, 0x31, 0x00, 0x00, b'h', b'e', b'l', b'l', b'o', b'\n',
    ];
    const HELLO_SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    /// A folder with these chunks and a file that is none.
    fn folder(chunks: &[&[u8]]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (index, chunk) in chunks.iter().enumerate() {
            fs::write(folder.path().join(format!("chunk-{index:02}")), chunk).unwrap();
        }
        fs::write(folder.path().join("silica-loader"), "x").unwrap();
        folder
    }

    fn unpack_in(folder: &tempfile::TempDir, sha256: &str) -> Result<String, Error> {
        let path = folder.path().to_str().unwrap();
        let into = format!("{path}/hello");
        unpack(path, &into, sha256).map(|()| into)
    }

    #[test]
    fn joined_chunks_become_an_executable() {
        let folder = folder(&[&HELLO[..4], &HELLO[4..11], &HELLO[11..]]);
        // A restarted container does it again.
        for _ in 0..2 {
            let into = unpack_in(&folder, HELLO_SHA256).unwrap();
            assert_eq!(fs::read(&into).unwrap(), b"hello\n");
            let mode = fs::metadata(&into).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o555);
            assert!(fs::metadata(format!("{into}.partial")).is_err());
        }
    }

    #[test]
    fn other_content_never_gets_the_name() {
        let folder = folder(&[&HELLO]);
        let error = unpack_in(&folder, &"0".repeat(64)).unwrap_err();
        assert!(error.to_string().contains(HELLO_SHA256), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn missing_chunks_are_an_error() {
        let folder_of_two = folder(&[&HELLO[..11]]);
        assert!(matches!(
            unpack_in(&folder_of_two, HELLO_SHA256),
            Err(Error::Decode { .. })
        ));
        let error = unpack_in(&folder(&[]), HELLO_SHA256).unwrap_err();
        assert!(matches!(error, Error::Read { path, .. } if path.ends_with("chunk-00")));
    }
}
