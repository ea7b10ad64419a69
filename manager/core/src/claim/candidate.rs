//! Which members of a pool a client can be given, in which order they are tried, and how new
//! ones are called.

use silica_api::{
    crd::{ConditionStatus, Phase, Sandbox, condition},
    labels,
};

/// The facts about a pool member that decide whether it can be claimed.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Label `sandbox-claimed` is `false`.
    pub unclaimed: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `status.phase`
    pub phase: Option<Phase>,
    /// Condition `Ready` is true.
    pub ready: bool,
    /// The pod has an address.
    pub has_address: bool,
}

impl From<&Sandbox> for Facts {
    fn from(sandbox: &Sandbox) -> Self {
        let metadata = &sandbox.metadata;
        let claimed = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(labels::CLAIMED));
        let status = sandbox.status.as_ref();
        let conditions = status.map(|status| &*status.conditions).unwrap_or_default();
        Self {
            unclaimed: claimed.is_some_and(|claimed| claimed == "false"),
            deleting: metadata.deletion_timestamp.is_some(),
            phase: status.and_then(|status| status.phase),
            ready: conditions
                .iter()
                .any(|one| one.kind == condition::READY && one.status == ConditionStatus::True),
            has_address: status.is_some_and(|status| status.address().is_some()),
        }
    }
}

/// Whether a pool member can be handed to a client now.
pub fn is_available(facts: Facts) -> bool {
    facts.unclaimed
        && !facts.deleting
        && facts.phase == Some(Phase::Running)
        && facts.ready
        && facts.has_address
}

/// Order in which candidates are tried: members of the current template first,
/// and within both halves from a random place on, so that replicas of the manager
/// that claim at the same time rarely meet on one sandbox.
pub fn order(current: impl IntoIterator<Item = bool>, start: usize) -> Vec<usize> {
    let (mut newest, mut older): (Vec<_>, Vec<_>) = current
        .into_iter()
        .enumerate()
        .partition(|(_, is_current)| *is_current);
    for half in [&mut newest, &mut older] {
        if !half.is_empty() {
            let middle = start % half.len();
            half.rotate_left(middle);
        }
    }
    newest.into_iter().chain(older).map(|(index, _)| index).collect()
}

/// Name of a new sandbox of a set: the set's name and five characters of `[a-z0-9]`
/// taken from the random number.
pub fn member_name(set: &str, random: u32) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut rest = random;
    let suffix: String = (0..5)
        .map(|_| {
            let index = rest % 36;
            rest /= 36;
            char::from(ALPHABET[index as usize])
        })
        .collect();
    format!("{set}-{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVAILABLE: Facts = Facts {
        unclaimed: true,
        deleting: false,
        phase: Some(Phase::Running),
        ready: true,
        has_address: true,
    };

    #[test]
    fn only_ready_unclaimed_members_are_available() {
        assert!(is_available(AVAILABLE));
        for facts in [
            Facts {
                unclaimed: false,
                ..AVAILABLE
            },
            Facts {
                deleting: true,
                ..AVAILABLE
            },
            Facts {
                phase: Some(Phase::Pending),
                ..AVAILABLE
            },
            Facts {
                phase: None,
                ..AVAILABLE
            },
            Facts {
                ready: false,
                ..AVAILABLE
            },
            Facts {
                has_address: false,
                ..AVAILABLE
            },
        ] {
            assert!(!is_available(facts), "{facts:?}");
        }
    }

    #[test]
    fn candidates_of_the_current_template_come_first_from_a_random_start() {
        assert_eq!(order([false, true, true, false, true], 1), [2, 4, 1, 3, 0]);
        assert_eq!(order([true, true], 7), [1, 0]);
        assert!(order([], 3).is_empty());
    }

    #[test]
    fn member_names_are_dns_labels_below_their_set() {
        for random in [0, 1, 35, 36, u32::MAX] {
            let name = member_name("code", random);
            assert_eq!(name.len(), 10);
            assert!(
                name[5..]
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
                "{name}"
            );
        }
        assert_ne!(member_name("code", 1), member_name("code", 2));
    }
}
