//! `Idempotency-Key`: the same key with the same body gives the same sandbox.

mod once;

use sha2::{Digest as _, Sha256};

pub(crate) use once::claim_once;

/// Longest key.
pub(crate) const MAX_KEY: usize = 255;

/// Hash under which a sandbox remembers the call that made it.
pub(crate) fn hash(team: &str, key: &str, body: &[u8]) -> String {
    let mut hasher = Sha256::new();
    for part in [team.as_bytes(), key.as_bytes(), body] {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hex::encode(hasher.finalize())
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
}
