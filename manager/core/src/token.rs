//! Access tokens of sandboxes.
//!
//! A token is derived from one cluster-wide key and the UID of the Sandbox
//! object, so that no object stores it: every manager replica computes the same
//! token, and the pod carries only its SHA-256, which lets the in-sandbox daemon
//! check a token from its first moment on.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Length of the key in bytes.
pub const KEY_LENGTH: usize = 32;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key has the wrong length.
    #[error("the token key has {0} bytes; {KEY_LENGTH} are needed")]
    Length(usize),
}

/// The key that access tokens are derived from.
#[derive(Clone)]
pub struct TokenKey([u8; KEY_LENGTH]);

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

impl TokenKey {
    /// Takes the bytes of the mounted Secret.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        bytes.try_into().map(Self).map_err(|_| Error::Length(bytes.len()))
    }

    /// The token of the in-sandbox daemon (`envdAccessToken`) for the Sandbox
    /// object with this UID: URL-safe base64 without padding, 43 characters.
    pub fn envd_token(&self, sandbox_uid: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.derive("envd", sandbox_uid))
    }

    /// The token that lets a client through to ports other than the daemon's
    /// (`trafficAccessToken`) when public traffic is off.
    pub fn traffic_token(&self, sandbox_uid: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.derive("traffic", sandbox_uid))
    }

    pub(crate) fn derive(&self, purpose: &str, sandbox_uid: &str) -> [u8; 32] {
        hmac_sha256(&self.0, &[purpose.as_bytes(), b"\0", sandbox_uid.as_bytes()])
    }
}

/// What a pod carries instead of its token: lower-case hex SHA-256 of the token text.
pub fn fingerprint(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// HMAC-SHA256 (RFC 2104) of the parts, one after the other.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_by_sandbox_purpose_and_key() {
        let key = TokenKey::new(&[7; KEY_LENGTH]).unwrap();
        let other = TokenKey::new(&[8; KEY_LENGTH]).unwrap();
        let token = key.envd_token("uid-1");
        assert_eq!(token, key.envd_token("uid-1"));
        assert_eq!(token.len(), 43);
        for different in [
            key.envd_token("uid-2"),
            key.traffic_token("uid-1"),
            other.envd_token("uid-1"),
        ] {
            assert_ne!(token, different);
        }
    }

    #[test]
    fn fingerprint_is_the_sha256_of_the_text() {
        assert_eq!(
            fingerprint("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused_and_never_printed() {
        assert!(TokenKey::new(b"short").is_err());
        assert_eq!(
            format!("{:?}", TokenKey::new(&[7; KEY_LENGTH]).unwrap()),
            "TokenKey(..)"
        );
    }
}
