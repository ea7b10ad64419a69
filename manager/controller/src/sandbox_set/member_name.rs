//! Names of the members of a pool.

use kube::ResourceExt;
use rand::RngExt;
use silica_api::crd::SandboxSet;

/// Random characters at the end of a member's name.
const SUFFIX_LENGTH: usize = 5;
/// Letters and digits that cannot be taken for each other or form words.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A new name for a member.
pub(super) fn random(set: &SandboxSet) -> String {
    let mut rng = rand::rng();
    let suffix: String = (0..SUFFIX_LENGTH)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect();
    format!("{}-{suffix}", set.name_any())
}

/// A name as long as those of the members.
pub(super) fn longest(set: &SandboxSet) -> String {
    format!("{}-{}", set.name_any(), "x".repeat(SUFFIX_LENGTH))
}

#[cfg(test)]
mod tests {
    use silica_api::{crd::SandboxSetSpec, types::SandboxId};

    use super::*;

    fn set() -> SandboxSet {
        SandboxSet::new("code-interpreter", SandboxSetSpec::default())
    }

    #[test]
    fn names_are_random_and_make_valid_ids() {
        let names: std::collections::HashSet<String> = (0..100).map(|_| random(&set())).collect();
        assert!(names.len() > 95);
        for name in names {
            assert!(
                name.starts_with("code-interpreter-") && name.len() == 22,
                "{name}"
            );
            assert_eq!(name.len(), longest(&set()).len());
            SandboxId::new("default", &name).unwrap();
        }
    }
}
