//! What the controller did to a pool that the cache may not show yet.
//!
//! A watch is a little behind. Without a memory, two looks at the same stale
//! cache would create (or delete) the same sandboxes twice.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::reflector::Store};
use silica_api::crd::{Sandbox, SandboxSet};

use super::{backoff::Backoff, burst::Burst};

/// What the watch has not shown by then is believed to be lost.
pub(crate) const EXPIRY: SignedDuration = SignedDuration::from_secs(60);

/// The memory of all pools, by UID of the set.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pools: HashMap<String, PoolMemory>,
}

impl Pools {
    /// What is remembered of the set with this UID.
    pub(crate) fn of(&self, uid: &str) -> PoolMemory {
        self.pools.get(uid).cloned().unwrap_or_default()
    }

    /// Remembers it.
    pub(crate) fn keep(&mut self, uid: String, pool: PoolMemory) {
        self.pools.insert(uid, pool);
    }

    /// Drops deleted sets, now and then.
    pub(crate) fn forget_all_but(&mut self, sets: &Store<SandboxSet>) {
        if self.pools.len() > 2 * sets.len() + 16 {
            let alive: HashSet<String> = sets.state().iter().filter_map(|set| set.uid()).collect();
            self.pools.retain(|uid, _| alive.contains(uid));
        }
    }
}

/// The memory of one pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolMemory {
    /// Names of created sandboxes that the cache has not shown, and when.
    created: HashMap<String, Timestamp>,
    /// UIDs of deleted sandboxes that the cache still shows, and when.
    deleted: HashMap<String, Timestamp>,
    /// Revision that `backoff` is about.
    revision: String,
    pub(crate) backoff: Backoff,
    pub(crate) burst: Burst,
}

impl PoolMemory {
    pub(crate) fn note_created(&mut self, name: String, now: Timestamp) {
        self.created.insert(name, now);
    }

    pub(crate) fn note_deleted(&mut self, uid: String, now: Timestamp) {
        self.deleted.insert(uid, now);
    }

    pub(crate) fn is_deleted(&self, sandbox: &Sandbox) -> bool {
        sandbox
            .metadata
            .uid
            .as_ref()
            .is_some_and(|uid| self.deleted.contains_key(uid))
    }

    /// Sandboxes on their way into the cache.
    pub(crate) fn pending(&self) -> usize {
        self.created.len()
    }

    /// When the oldest of [`Self::pending`] is given up.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.created
            .values()
            .min()
            .map(|created| created.saturating_add(EXPIRY).unwrap_or(*created))
    }

    /// Forgets what the cache shows by now, and what it never will. A new
    /// revision starts without the failures of the old one.
    pub(crate) fn settle(&mut self, members: &[Arc<Sandbox>], revision: &str, now: Timestamp) {
        let names: HashSet<&str> = members
            .iter()
            .filter_map(|member| member.metadata.name.as_deref())
            .collect();
        let uids: HashSet<&str> = members
            .iter()
            .filter_map(|member| member.metadata.uid.as_deref())
            .collect();
        let fresh = |since: &Timestamp| now.duration_since(*since) < EXPIRY;
        self.created
            .retain(|name, since| !names.contains(name.as_str()) && fresh(since));
        self.deleted
            .retain(|uid, since| uids.contains(uid.as_str()) && fresh(since));
        if self.revision != revision {
            revision.clone_into(&mut self.revision);
            self.backoff = Backoff::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn member(name: &str) -> Arc<Sandbox> {
        let mut sandbox = Sandbox::default();
        sandbox.metadata.name = Some(name.to_owned());
        sandbox.metadata.uid = Some(format!("uid-{name}"));
        Arc::new(sandbox)
    }

    #[test]
    fn a_creation_is_pending_until_the_cache_shows_it() {
        let mut memory = PoolMemory::default();
        memory.note_created("a".to_owned(), at(0));
        memory.note_created("b".to_owned(), at(0));
        memory.settle(&[member("a")], "r", at(1));
        assert_eq!(memory.pending(), 1);
        memory.settle(&[member("a"), member("b")], "r", at(2));
        assert_eq!(memory.pending(), 0);
    }

    #[test]
    fn a_creation_that_never_shows_is_given_up() {
        let mut memory = PoolMemory::default();
        memory.note_created("a".to_owned(), at(0));
        assert_eq!(memory.next_expiry(), Some(at(60)));
        memory.settle(&[], "r", at(59));
        assert_eq!(memory.pending(), 1);
        memory.settle(&[], "r", at(60));
        assert_eq!(memory.pending(), 0);
    }

    #[test]
    fn a_deletion_hides_the_sandbox_until_the_cache_has_dropped_it() {
        let mut memory = PoolMemory::default();
        memory.note_deleted("uid-a".to_owned(), at(0));
        memory.settle(&[member("a")], "r", at(1));
        assert!(memory.is_deleted(&member("a")) && !memory.is_deleted(&member("b")));
        memory.settle(&[], "r", at(2));
        assert!(!memory.is_deleted(&member("a")));
    }
}
