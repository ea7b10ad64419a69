//! API keys: how they look, how they are stored, how one is recognised.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::token::hmac_sha256;

/// The team that sees every namespace; the generated admin key belongs to it.
pub const ADMIN_TEAM: &str = "admin";
/// Id of the admin key.
pub const ADMIN_KEY_ID: &str = "admin";

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that no HTTP header can carry.
    #[error("the API key must consist of 8 to 256 visible ASCII characters")]
    Characters,
}

/// An API key in clear text.
#[derive(Clone, Eq, PartialEq)]
pub struct ApiKey(String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

impl ApiKey {
    /// Takes a key that somebody chose.
    pub fn new(text: &str) -> Result<Self, Error> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(8..=256).contains(&text.len()) {
            return Err(Error::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// A key made from 160 random bits: `e2b_` and 40 lower-case hexadecimal
    /// digits, the only form that every E2B SDK accepts (contract section 1.2).
    pub fn from_random(random: [u8; 20]) -> Self {
        Self(format!("e2b_{}", hex::encode(random)))
    }

    /// The key itself, to hand to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// One stored key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredKey {
    /// Id of the key, unique in the installation.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Team that the key speaks for: [`ADMIN_TEAM`], or a namespace.
    pub team: String,
    /// See [`hash`].
    pub hash: String,
    /// RFC 3339 time of creation.
    pub created_at: String,
}

/// What is stored of a key: lower-case hex HMAC-SHA256 under the pepper. The
/// pepper makes stored hashes of short, chosen keys useless outside the cluster.
pub fn hash(pepper: &[u8], key: &str) -> String {
    hex::encode(hmac_sha256(pepper, &[key.as_bytes()]))
}

/// The stored keys, ready for look-ups.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    pepper: Vec<u8>,
    by_hash: BTreeMap<String, StoredKey>,
}

impl KeyRing {
    /// Reads the data of the API key Secret. Entries that are not keys are
    /// returned by name, so that one bad entry does not lock everybody out.
    pub fn from_secret(pepper_entry: &str, data: &BTreeMap<String, Vec<u8>>) -> (Self, Vec<String>) {
        let mut ring = Self {
            pepper: data.get(pepper_entry).cloned().unwrap_or_default(),
            ..Self::default()
        };
        let mut unreadable = Vec::new();
        for (name, value) in data.iter().filter(|(name, _)| *name != pepper_entry) {
            match serde_json::from_slice::<StoredKey>(value) {
                Ok(key) => {
                    ring.by_hash.insert(key.hash.clone(), key);
                }
                Err(_) => unreadable.push(name.clone()),
            }
        }
        (ring, unreadable)
    }

    /// The stored key that this text is, if any. The look-up compares keyed
    /// hashes, which an attacker cannot steer, so its timing tells nothing.
    pub fn find(&self, text: &str) -> Option<&StoredKey> {
        if self.pepper.is_empty() {
            return None;
        }
        self.by_hash.get(&hash(&self.pepper, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(entries: &[(&str, &[u8])]) -> (KeyRing, Vec<String>) {
        let data = entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
            .collect();
        KeyRing::from_secret("pepper", &data)
    }

    fn stored(pepper: &[u8], text: &str) -> Vec<u8> {
        serde_json::to_vec(&StoredKey {
            id: "k1".into(),
            name: "first".into(),
            team: "team-a".into(),
            hash: hash(pepper, text),
            created_at: "2026-01-02T03:04:05Z".into(),
        })
        .unwrap()
    }

    #[test]
    fn a_stored_key_is_found_by_its_text_only() {
        let (ring, unreadable) = ring(&[
            ("pepper", b"salt"),
            ("k1.json", &stored(b"salt", "admin-987654321")),
        ]);
        assert!(unreadable.is_empty());
        assert_eq!(ring.find("admin-987654321").unwrap().team, "team-a");
        assert!(ring.find("admin-987654322").is_none());
        assert!(ring.find("").is_none());
    }

    #[test]
    fn a_bad_entry_does_not_hide_the_others() {
        let (ring, unreadable) = ring(&[
            ("pepper", b"salt"),
            ("bad", b"{"),
            ("k1.json", &stored(b"salt", "admin-987654321")),
        ]);
        assert_eq!(unreadable, ["bad"]);
        assert!(ring.find("admin-987654321").is_some());
    }

    #[test]
    fn without_a_pepper_nobody_gets_in() {
        let (ring, _) = ring(&[("k1.json", &stored(b"", "admin-987654321"))]);
        assert!(ring.find("admin-987654321").is_none());
    }

    #[test]
    fn generated_keys_have_the_form_that_every_sdk_accepts() {
        let key = ApiKey::from_random([0xab; 20]);
        assert_eq!(key.reveal(), format!("e2b_{}", "ab".repeat(20)));
        assert_eq!(format!("{key:?}"), "ApiKey(..)");
    }

    #[test]
    fn chosen_keys_must_fit_a_header() {
        assert!(ApiKey::new("admin-987654321").is_ok());
        for bad in ["", "short", "with space", "ümläut-key", "line\nbreak-key"] {
            assert!(ApiKey::new(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
