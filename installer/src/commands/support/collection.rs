//! What was collected, and what could not be; no IO.

use std::{collections::BTreeMap, fmt::Display};

use serde_json::Value;
use silica_oci::Entry;

use super::redact;

/// The one folder in the archive.
const FOLDER: &str = "silica-support";
/// List of what could not be read, in that folder.
const MISSING: &str = "missing.txt";
const MODE: u32 = 0o600;

/// Files of the archive, and what is missing in it.
#[derive(Debug, Default)]
pub(super) struct Collection {
    files: BTreeMap<String, String>,
    missing: Vec<String>,
}

impl Collection {
    /// Keeps a text under a relative path, without the API keys in it.
    pub(super) fn add(&mut self, path: impl Into<String>, text: &str) {
        self.files.insert(path.into(), redact::text(text));
    }

    /// Keeps a value as JSON.
    pub(super) fn add_json(&mut self, path: impl Into<String>, value: &Value) {
        self.add(path, &format!("{value:#}\n"));
    }

    /// Keeps what was read, or notes why it was not.
    pub(super) fn take<T>(&mut self, what: &str, read: Result<T, impl Display>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.missing.push(redact::text(&format!("{what}: {error}")));
                None
            }
        }
    }

    /// Notes something that the reader has to know.
    pub(super) fn note_missing(&mut self, text: String) {
        self.missing.push(text);
    }

    /// What could not be read, with the reasons.
    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Paths of the files, without their folder.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The files of the archive.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let list = (!self.missing.is_empty()).then(|| (MISSING.to_owned(), self.missing.join("\n") + "\n"));
        self.files
            .clone()
            .into_iter()
            .chain(list)
            .map(|(path, text)| Entry::file(format!("{FOLDER}/{path}"), MODE, text))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use silica_oci::EntryKind;

    use super::*;

    fn contents(collection: &Collection) -> Vec<String> {
        let entries = collection.entries().into_iter();
        entries
            .map(|entry| match entry.kind() {
                EntryKind::File(bytes) => String::from_utf8(bytes.clone()).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_is_missing_is_told_in_the_archive_and_to_the_caller() {
        let mut collection = Collection::default();
        collection.add_json("version.json", &json!({"silica": "1"}));
        assert_eq!(collection.take("nodes", Ok::<_, String>(3)), Some(3));
        assert_eq!(contents(&collection).len(), 1, "nothing is missing");
        assert_eq!(collection.take("secrets", Err::<(), _>("no right")), None);
        assert_eq!(collection.missing(), ["secrets: no right"]);
        assert!(contents(&collection).contains(&"secrets: no right\n".to_owned()));
        assert_eq!(collection.names().collect::<Vec<_>>(), ["version.json"]);
    }

    #[test]
    fn no_part_keeps_an_api_key() {
        let key = format!("e2b_{}", "0af1".repeat(10));
        let mut collection = Collection::default();
        collection.add("log", &format!("key {key}"));
        collection.add_json("object.json", &json!({"a": key}));
        let _: Option<()> = collection.take("object", Err(format!("refused {key}")));
        for text in contents(&collection) {
            assert!(!text.contains("0af1"), "{text}");
        }
    }
}
