//! Which version of each claim was written last.
//!
//! A watch is a little behind. A reconciliation of a version before the last write would do
//! again what is done, only to be refused when it writes that down.

use std::{
    collections::{HashMap, HashSet},
    sync::PoisonError,
};

use kube::ResourceExt;
use silica_api::crd::SandboxClaim;

use crate::context::Context;

/// Written versions by UID of the claim.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<String, u64>);

impl Memory {
    fn note(&mut self, claim: &SandboxClaim) {
        if let (Some(uid), Some(version)) = (claim.uid(), version(claim)) {
            self.0.insert(uid, version);
        }
    }

    /// Whether this is a version before the last write. Once it is not, nothing has to be known.
    fn is_behind(&mut self, claim: &SandboxClaim) -> bool {
        let (Some(uid), Some(version)) = (claim.uid(), version(claim)) else {
            return false;
        };
        let is_behind = self.0.get(&uid).is_some_and(|written| version < *written);
        if !is_behind {
            self.0.remove(&uid);
        }
        is_behind
    }
}

/// Remembers what was written.
pub(super) fn note(claim: &SandboxClaim, context: &Context) {
    let mut memory = context.claims.lock().unwrap_or_else(PoisonError::into_inner);
    let claims = &context.caches.claims;
    if memory.0.len() > 2 * claims.len() + 16 {
        let alive: HashSet<String> = claims.state().iter().filter_map(|claim| claim.uid()).collect();
        memory.0.retain(|uid, _| alive.contains(uid));
    }
    memory.note(claim);
}

/// Whether the cache has not shown the last write yet.
pub(super) fn is_behind(claim: &SandboxClaim, context: &Context) -> bool {
    let mut memory = context.claims.lock().unwrap_or_else(PoisonError::into_inner);
    memory.is_behind(claim)
}

/// Versions can be compared (KEP-5504); one that is no number is taken for the newest.
fn version(claim: &SandboxClaim) -> Option<u64> {
    claim.resource_version()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(version: &str) -> SandboxClaim {
        let mut claim = super::super::order::tests::claim(&serde_json::json!({}));
        claim.metadata.resource_version = Some(version.to_owned());
        claim
    }

    #[test]
    fn only_versions_before_the_last_write_are_behind() {
        let mut memory = Memory::default();
        assert!(!memory.is_behind(&claim("9")));
        memory.note(&claim("10"));
        assert!(memory.is_behind(&claim("9")));
        assert!(!memory.is_behind(&claim("10")));
        assert!(memory.0.is_empty(), "the cache has caught up");
        memory.note(&claim("10"));
        assert!(!memory.is_behind(&claim("x")));
    }
}
