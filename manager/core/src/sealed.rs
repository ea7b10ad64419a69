//! Environment variables of a sandbox, encrypted for its annotations: a resumed
//! sandbox gets them back, and who may read objects may not read them.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::token::TokenKey;

/// Most bytes of the variables as JSON: an object may have 256 KiB of annotations in all.
pub const MAX_ENV: usize = 64 * 1024;

/// Why variables are refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not a name.
    #[error("{0:?} is not a name of an environment variable")]
    Name(String),
    /// Too much to store.
    #[error("envVars have {0} bytes; {MAX_ENV} are allowed")]
    Size(usize),
}

/// Environment variables.
pub type Env = BTreeMap<String, String>;

/// Whether a daemon takes the variables and an object can hold them.
pub fn check(env: &Env) -> Result<(), Error> {
    let is_bad = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
    if let Some(bad) = env.keys().find(is_bad) {
        return Err(Error::Name(bad.clone()));
    }
    let size = serde_json::json!(env).to_string().len();
    if size > MAX_ENV {
        return Err(Error::Size(size));
    }
    Ok(())
}

/// Encrypts the variables (ChaCha20-Poly1305, RFC 8439) for one claim of one
/// sandbox; nothing when there are none. `lock` is the random id of the claim, so
/// that no key is ever used twice.
pub fn seal(key: &TokenKey, sandbox: &str, lock: &str, env: &Env) -> Option<String> {
    if env.is_empty() {
        return None;
    }
    let mut bytes = serde_json::to_vec(env).ok()?;
    cipher(key, sandbox, lock)?
        .seal_in_place_append_tag(nonce(), Aad::empty(), &mut bytes)
        .ok()?;
    Some(STANDARD.encode(bytes))
}

/// The inverse of [`seal`]; nothing when the text was not made for this claim.
pub fn open(key: &TokenKey, sandbox: &str, lock: &str, sealed: &str) -> Option<Env> {
    let mut bytes = STANDARD.decode(sealed).ok()?;
    let plain = cipher(key, sandbox, lock)?
        .open_in_place(nonce(), Aad::empty(), &mut bytes)
        .ok()?;
    serde_json::from_slice(plain).ok()
}

fn cipher(key: &TokenKey, sandbox: &str, lock: &str) -> Option<LessSafeKey> {
    let secret = key.derive("environment", &format!("{sandbox}\0{lock}"));
    UnboundKey::new(&CHACHA20_POLY1305, &secret)
        .ok()
        .map(LessSafeKey::new)
}

/// Constant: every key encrypts one text only.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::KEY_LENGTH;

    #[test]
    fn names_and_size_are_checked() {
        let env = |name: &str, value: &str| Env::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(check(&env("A", "=")), Ok(()));
        for bad in ["", "A=B", "A\0"] {
            assert_eq!(check(&env(bad, "1")), Err(Error::Name(bad.to_owned())));
        }
        assert!(matches!(
            check(&env("A", &"x".repeat(MAX_ENV))),
            Err(Error::Size(_))
        ));
    }

    #[test]
    fn variables_come_back_for_the_same_claim_only() {
        let key = TokenKey::new(&[7; KEY_LENGTH]).unwrap();
        let other = TokenKey::new(&[8; KEY_LENGTH]).unwrap();
        let env = Env::from([("SECRET".to_owned(), "hunter2".to_owned())]);
        let sealed = seal(&key, "ns--a", "lock", &env).unwrap();
        assert_eq!(open(&key, "ns--a", "lock", &sealed), Some(env));
        assert_eq!(open(&key, "ns--b", "lock", &sealed), None);
        assert_eq!(open(&key, "ns--a", "lock2", &sealed), None);
        assert_eq!(open(&other, "ns--a", "lock", &sealed), None);
        assert_eq!(open(&key, "ns--a", "lock", "junk"), None);
        assert_eq!(seal(&key, "ns--a", "lock", &Env::new()), None);
    }
}
