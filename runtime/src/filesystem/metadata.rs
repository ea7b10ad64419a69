//! Metadata of files, kept in extended attributes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

use crate::os::xattr;

/// Prefix of the attributes that hold metadata.
const PREFIX: &str = "user.e2b.";
/// Longest key in bytes.
const KEY_LIMIT: usize = 246;
/// Most bytes of all keys and values together.
const TOTAL_LIMIT: usize = 4096;

/// Why a set of metadata is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    #[error("metadata key '{0}' is empty, too long or not printable ASCII")]
    Key(String),
    #[error("value of metadata key '{0}' is not printable ASCII")]
    Value(String),
    #[error("metadata is larger than {TOTAL_LIMIT} bytes")]
    TooLarge,
}

/// Checks metadata of an upload; keys come back in lower case.
pub fn validate<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<BTreeMap<String, String>, MetadataError> {
    let mut metadata = BTreeMap::new();
    let mut total = 0;
    for (key, value) in pairs {
        let printable = |bytes: &[u8]| bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
        if key.is_empty() || key.len() > KEY_LIMIT || !printable(key.as_bytes()) {
            return Err(MetadataError::Key(key.to_owned()));
        }
        if !printable(value) {
            return Err(MetadataError::Value(key.to_owned()));
        }
        total += key.len() + value.len();
        metadata.insert(
            key.to_ascii_lowercase(),
            String::from_utf8_lossy(value).into_owned(),
        );
    }
    if total > TOTAL_LIMIT {
        Err(MetadataError::TooLarge)
    } else {
        Ok(metadata)
    }
}

/// Metadata of a path; file systems without attributes have none.
pub fn read(path: &Path) -> BTreeMap<String, String> {
    let names = xattr::read_names(path).unwrap_or_default();
    let pairs = names.iter().filter_map(|name| {
        let key = name.to_str()?.strip_prefix(PREFIX)?;
        let value = xattr::read(path, name).ok()?;
        Some((key.to_owned(), String::from_utf8_lossy(&value).into_owned()))
    });
    pairs.collect()
}

/// Replaces the metadata of an open file at `path`.
pub fn write(file: &File, path: &Path, metadata: &BTreeMap<String, String>) -> io::Result<()> {
    for old in read(path).into_keys().filter(|key| !metadata.contains_key(key)) {
        xattr::remove(file, &attribute(&old))?;
    }
    for (key, value) in metadata {
        xattr::write(file, &attribute(key), value.as_bytes())?;
    }
    Ok(())
}

fn attribute(key: &str) -> OsString {
    let mut name = OsString::from(PREFIX);
    name.push(OsStr::new(key));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lowered_and_values_kept() {
        let metadata = validate([("Author", b"Ada L".as_slice())].into_iter()).unwrap();
        assert_eq!(
            metadata,
            BTreeMap::from([("author".to_owned(), "Ada L".to_owned())])
        );
    }

    #[test]
    fn bad_metadata_is_refused() {
        let long = "k".repeat(KEY_LIMIT + 1);
        assert_eq!(
            validate([(long.as_str(), b"".as_slice())].into_iter()),
            Err(MetadataError::Key(long.clone()))
        );
        assert_eq!(
            validate([("k", "\u{e9}".as_bytes())].into_iter()),
            Err(MetadataError::Value("k".to_owned()))
        );
        let value = vec![b'v'; TOTAL_LIMIT];
        assert_eq!(
            validate([("k", value.as_slice())].into_iter()),
            Err(MetadataError::TooLarge)
        );
    }
}
