//! `Idempotency-Key`: the same key with the same body gives the same sandbox.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedMutexGuard;

/// Longest key.
pub(crate) const MAX_KEY: usize = 255;

/// Hash under which a sandbox remembers the call that made it.
pub(crate) fn hash(team: &str, key: &str, body: &[u8]) -> String {
    let mut hasher = Sha256::new();
    for part in [team.as_bytes(), key.as_bytes(), body] {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            use std::fmt::Write as _;
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Lets calls with the same hash run one after the other.
#[derive(Default)]
pub(crate) struct Locks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    /// Waits for earlier calls with this hash.
    pub(crate) async fn lock(&self, hash: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(hash.to_owned()).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_call_counts() {
        let one = hash("team", "key", b"{}");
        assert_eq!(one, hash("team", "key", b"{}"));
        for other in [
            hash("team2", "key", b"{}"),
            hash("team", "key2", b"{}"),
            hash("team", "key", b"{ }"),
            hash("teamk", "ey", b"{}"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[tokio::test]
    async fn a_second_call_waits_for_the_first_and_nothing_is_left_behind() {
        let locks = Locks::default();
        let first = locks.lock("a").await;
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(5), locks.lock("a"))
                .await
                .is_err()
        );
        drop(locks.lock("b").await);
        drop(first);
        drop(locks.lock("a").await);
        assert!(locks.0.lock().unwrap().len() <= 2);
    }
}
