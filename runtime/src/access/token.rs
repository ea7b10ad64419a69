//! The access token, kept as a fingerprint.

use std::sync::{PoisonError, RwLock};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// SHA-256 of an access token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Fingerprint of a plain token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Compares without telling by timing where the difference is.
    fn matches(&self, token: &str) -> bool {
        Self::of(token).0.ct_eq(&self.0).into()
    }
}

/// Which tokens open the daemon.
#[derive(Default)]
pub struct Access {
    /// Given at boot; always sufficient to initialise the daemon.
    boot: Option<Fingerprint>,
    lock: RwLock<Lock>,
}

#[derive(Clone, Default)]
enum Lock {
    /// Everybody may do everything.
    #[default]
    Open,
    /// A token with this fingerprint is required.
    Token {
        fingerprint: Fingerprint,
        /// The plain token, once a caller has presented it: signatures are made with it.
        plain: Option<String>,
    },
}

impl Access {
    /// Requires the token with this fingerprint from the first request on, if there is one.
    pub fn new(boot: Option<Fingerprint>) -> Self {
        let lock = boot.map_or(Lock::Open, |fingerprint| Lock::Token {
            fingerprint,
            plain: None,
        });
        Self {
            boot,
            lock: RwLock::new(lock),
        }
    }

    /// Whether no token is required.
    pub fn is_open(&self) -> bool {
        matches!(*self.read(), Lock::Open)
    }

    /// Whether a request with this token may use the daemon.
    pub fn allows(&self, presented: Option<&str>) -> bool {
        let (known, fingerprint) = match &*self.read() {
            Lock::Open => return true,
            Lock::Token { fingerprint, plain } => (plain.is_some(), *fingerprint),
        };
        let Some(token) = presented.filter(|token| fingerprint.matches(token)) else {
            return false;
        };
        if !known {
            self.replace(Lock::Token {
                fingerprint,
                plain: Some(token.to_owned()),
            });
        }
        true
    }

    /// Whether a request with this token may initialise the daemon.
    pub fn allows_init(&self, presented: Option<&str>) -> bool {
        if let (Some(boot), Some(token)) = (self.boot, presented)
            && boot.matches(token)
        {
            // Remembers the token when it is also the current one.
            self.allows(presented);
            return true;
        }
        // A daemon that was opened on request stays closed to strangers here.
        let opened = self.boot.is_some() && self.is_open();
        !opened && self.allows(presented)
    }

    /// Sets the token; the empty one opens the daemon.
    pub fn set_token(&self, token: &str) {
        self.replace(if token.is_empty() {
            Lock::Open
        } else {
            Lock::Token {
                fingerprint: Fingerprint::of(token),
                plain: Some(token.to_owned()),
            }
        });
    }

    /// The plain token, if it is known.
    pub(super) fn plain_token(&self) -> Option<String> {
        match &*self.read() {
            Lock::Open => None,
            Lock::Token { plain, .. } => plain.clone(),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Lock> {
        self.lock.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, lock: Lock) {
        *self.lock.write().unwrap_or_else(PoisonError::into_inner) = lock;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_round_trips_through_hex() {
        let hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert!(Fingerprint::parse(hex) == Some(Fingerprint::of("test")));
        assert!(Fingerprint::parse("9f86").is_none());
        assert!(Fingerprint::parse(&hex.replace('9', "g")).is_none());
    }

    #[test]
    fn boot_fingerprint_closes_the_daemon_at_once() {
        let access = Access::new(Some(Fingerprint::of("a")));
        assert!(!access.allows(None));
        assert!(!access.allows(Some("b")));
        assert!(access.plain_token().is_none());
        assert!(access.allows(Some("a")));
        assert_eq!(access.plain_token().as_deref(), Some("a"));
    }

    #[test]
    fn opened_daemon_is_initialised_only_with_the_boot_token() {
        let access = Access::new(Some(Fingerprint::of("a")));
        access.set_token("");
        assert!(access.allows(None));
        assert!(!access.allows_init(None));
        assert!(access.allows_init(Some("a")));
    }

    #[test]
    fn first_init_of_an_open_daemon_sets_the_token() {
        let access = Access::new(None);
        assert!(access.allows_init(None));
        access.set_token("a");
        assert!(!access.allows_init(None));
        assert!(access.allows_init(Some("a")));
    }
}
