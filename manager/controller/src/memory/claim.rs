//! Which version of each claim was written last.
//!
//! A watch is a little behind. A reconciliation of a version before the last write would do
//! again what is done, only to be refused when it writes that down.

use std::collections::{HashMap, HashSet};

use kube::{ResourceExt, runtime::reflector::Store};
use silica_api::crd::SandboxClaim;

/// Written versions by UID of the claim.
#[derive(Debug, Default)]
pub(crate) struct Claims(HashMap<String, u64>);

impl Claims {
    /// Remembers what was written.
    pub(crate) fn note(&mut self, claim: &SandboxClaim) {
        if let (Some(uid), Some(version)) = (claim.uid(), version(claim)) {
            self.0.insert(uid, version);
        }
    }

    /// Whether this is a version before the last write. Once it is not, nothing has to be known.
    pub(crate) fn is_behind(&mut self, claim: &SandboxClaim) -> bool {
        let (Some(uid), Some(version)) = (claim.uid(), version(claim)) else {
            return false;
        };
        let is_behind = self.0.get(&uid).is_some_and(|written| version < *written);
        if !is_behind {
            self.0.remove(&uid);
        }
        is_behind
    }

    /// Drops deleted claims, now and then.
    pub(crate) fn forget_all_but(&mut self, claims: &Store<SandboxClaim>) {
        if self.0.len() > 2 * claims.len() + 16 {
            let alive: HashSet<String> = claims.state().iter().filter_map(|claim| claim.uid()).collect();
            self.0.retain(|uid, _| alive.contains(uid));
        }
    }
}

/// Versions can be compared (KEP-5504); one that is no number is taken for the newest.
fn version(claim: &SandboxClaim) -> Option<u64> {
    claim.resource_version()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(version: &str) -> SandboxClaim {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxClaim",
            "metadata": {"name": "claim", "namespace": "ns", "uid": "u-1", "resourceVersion": version},
            "spec": {"templateName": "pool"},
        }))
        .unwrap()
    }

    #[test]
    fn only_versions_before_the_last_write_are_behind() {
        let mut memory = Claims::default();
        assert!(!memory.is_behind(&claim("9")));
        memory.note(&claim("10"));
        assert!(memory.is_behind(&claim("9")));
        assert!(!memory.is_behind(&claim("10")));
        assert!(memory.0.is_empty(), "the cache has caught up");
        memory.note(&claim("10"));
        assert!(!memory.is_behind(&claim("x")));
    }
}
