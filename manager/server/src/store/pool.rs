//! Pools: which sandboxes can be handed out, who holds one, and who waits.
//!
//! A sandbox is reserved inside this process before anything is written, so two
//! requests never pick the same one. Requests that find the pool empty queue up and
//! are handed the next sandbox in order of arrival, at the moment the watch shows
//! it; nothing polls. Between replicas the API server decides (409).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use silica_core::claim;
use tokio::sync::oneshot;

use super::{Entry, Inner, Store, Waiters};

/// Namespace and name of a SandboxSet.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct PoolKey {
    /// Namespace
    pub(crate) namespace: Arc<str>,
    /// Name
    pub(crate) name: Arc<str>,
}

impl PoolKey {
    /// The key of this set.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// One pool.
#[derive(Default)]
pub(super) struct Pool {
    /// Sandboxes that can be claimed, by name.
    available: BTreeMap<Box<str>, Arc<Entry>>,
    /// UIDs held by a [`Reservation`].
    reserved: HashSet<Box<str>>,
    /// Versions that lost a claim; a newer one has to arrive first.
    stale: HashMap<Box<str>, u64>,
    waiters: Waiters,
}

/// A sandbox that is to be handed to a waiter once the lock is released.
pub(super) struct Offer {
    pub(super) waiter: oneshot::Sender<Reservation>,
    pub(super) key: PoolKey,
    pub(super) entry: Arc<Entry>,
}

impl Inner {
    /// Updates the pool of a sandbox after a change.
    pub(super) fn sort_into_pool(&mut self, entry: &Arc<Entry>) -> Option<Offer> {
        let key = entry.pool.clone()?;
        if !entry.is_available() {
            self.leave_pool(entry);
            return None;
        }
        let pool = self.pools.entry(key.clone()).or_default();
        if pool.reserved.contains(&entry.uid)
            || pool
                .stale
                .get(&entry.uid)
                .is_some_and(|lost| *lost >= entry.version)
        {
            return None;
        }
        pool.stale.remove(&entry.uid);
        while let Some(waiter) = pool.waiters.pop_front() {
            if !waiter.is_closed() {
                pool.available.remove(entry.id.name());
                pool.reserved.insert(entry.uid.clone());
                return Some(Offer {
                    waiter,
                    key,
                    entry: Arc::clone(entry),
                });
            }
        }
        pool.available.insert(entry.id.name().into(), Arc::clone(entry));
        None
    }

    /// Takes a sandbox out of its pool.
    pub(super) fn leave_pool(&mut self, entry: &Entry) {
        let Some(pool) = entry.pool.as_ref().and_then(|key| self.pools.get_mut(key)) else {
            return;
        };
        pool.available.remove(entry.id.name());
        pool.stale.remove(&entry.uid);
    }
}

impl Store {
    /// Reserves a sandbox of the pool; `start` is a random number.
    pub(crate) fn take(
        self: &Arc<Self>,
        key: &PoolKey,
        template_hash: Option<&str>,
        start: usize,
    ) -> Option<Reservation> {
        let mut inner = self.write();
        let pool = inner.pools.get_mut(key)?;
        let current = pool
            .available
            .values()
            .map(|entry| template_hash.is_none() || entry.template_hash.as_deref() == template_hash);
        let first = claim::order(current, start).into_iter().next()?;
        let name = pool.available.keys().nth(first)?.clone();
        let entry = pool.available.remove(&name)?;
        pool.reserved.insert(entry.uid.clone());
        drop(inner);
        Some(Reservation::new(Arc::clone(self), key.clone(), entry))
    }

    /// Reserves a sandbox of the pool, or queues up for the next one.
    pub(crate) fn take_or_wait(
        self: &Arc<Self>,
        key: &PoolKey,
        template_hash: Option<&str>,
        start: usize,
    ) -> Result<Reservation, oneshot::Receiver<Reservation>> {
        if let Some(reservation) = self.take(key, template_hash, start) {
            return Ok(reservation);
        }
        let (waiter, receiver) = oneshot::channel();
        let mut inner = self.write();
        let pool = inner.pools.entry(key.clone()).or_default();
        // A sandbox may have arrived between the two locks.
        if let Some((_, entry)) = pool.available.pop_first() {
            pool.reserved.insert(entry.uid.clone());
            drop(inner);
            return Ok(Reservation::new(Arc::clone(self), key.clone(), entry));
        }
        pool.waiters.retain(|waiter| !waiter.is_closed());
        pool.waiters.push_back(waiter);
        Err(receiver)
    }

    /// How many sandboxes can be claimed now.
    pub(crate) fn available(&self) -> usize {
        self.read().pools.values().map(|pool| pool.available.len()).sum()
    }

    fn release(self: &Arc<Self>, reservation: &Reservation) {
        let mut inner = self.write();
        let held = &reservation.entry;
        let Some(pool) = inner.pools.get_mut(&reservation.key) else {
            return;
        };
        pool.reserved.remove(&held.uid);
        if reservation.lost {
            pool.stale.insert(held.uid.clone(), held.version);
        }
        let known = inner
            .by_id
            .get(held.id.as_str())
            .filter(|known| known.uid == held.uid)
            .cloned();
        let offer = if let Some(known) = known {
            inner.sort_into_pool(&known)
        } else {
            inner.leave_pool(held);
            None
        };
        drop(inner);
        self.deliver(offer);
    }
}

/// The right of one request to claim one sandbox. Dropping it gives the sandbox
/// back to the pool, if it still can be claimed.
pub(crate) struct Reservation {
    store: Arc<Store>,
    key: PoolKey,
    entry: Arc<Entry>,
    lost: bool,
}

impl Reservation {
    pub(super) fn new(store: Arc<Store>, key: PoolKey, entry: Arc<Entry>) -> Self {
        Self {
            store,
            key,
            entry,
            lost: false,
        }
    }

    /// The reserved sandbox.
    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Notes that the claim was refused: this version of the object is outdated.
    pub(crate) fn lose(mut self) {
        self.lost = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        Arc::clone(&self.store).release(self);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use silica_api::{crd::Sandbox, labels};

    use super::*;

    fn key() -> PoolKey {
        PoolKey::new("default", "code")
    }

    fn member(name: &str, version: u64, claimed: bool) -> Entry {
        let sandbox: Sandbox = serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1",
            "kind": "Sandbox",
            "metadata": {
                "name": name, "namespace": "default", "uid": format!("uid-{name}"),
                "resourceVersion": version.to_string(),
                "labels": { labels::POOL: "code", labels::CLAIMED: claimed.to_string() },
            },
            "spec": { "template": {} },
            "status": {
                "phase": "Running", "podInfo": { "podIP": "10.0.0.1" },
                "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
            },
        }))
        .unwrap();
        Entry::new(sandbox).unwrap()
    }

    #[test]
    fn a_sandbox_is_reserved_for_one_request_only() {
        let store = Arc::new(Store::default());
        store.apply(member("a", 1, false));
        let first = store.take(&key(), None, 0).unwrap();
        assert!(store.take(&key(), None, 0).is_none());
        drop(first);
        assert!(
            store.take(&key(), None, 0).is_some(),
            "a reservation that was given up is offered again"
        );
    }

    #[test]
    fn waiters_get_the_next_sandbox_in_order_of_arrival() {
        let store = Arc::new(Store::default());
        let mut first = store.take_or_wait(&key(), None, 0).err().unwrap();
        let mut second = store.take_or_wait(&key(), None, 0).err().unwrap();
        store.apply(member("a", 1, false));
        let held = first.try_recv().unwrap();
        assert!(second.try_recv().is_err());
        drop(held);
        assert_eq!(second.try_recv().unwrap().entry().id.name(), "a");
    }

    #[test]
    fn a_waiter_that_left_does_not_swallow_a_sandbox() {
        let store = Arc::new(Store::default());
        drop(store.take_or_wait(&key(), None, 0).err().unwrap());
        let waiting = store.take_or_wait(&key(), None, 0).err().unwrap();
        store.apply(member("a", 1, false));
        drop(waiting);
        assert_eq!(store.available(), 1);
    }

    #[test]
    fn a_lost_claim_is_not_tried_again_until_the_object_changed() {
        let store = Arc::new(Store::default());
        store.apply(member("a", 1, false));
        store.take(&key(), None, 0).unwrap().lose();
        assert!(store.take(&key(), None, 0).is_none());
        store.apply(member("a", 2, false));
        assert!(store.take(&key(), None, 0).is_some());
    }

    #[test]
    fn a_change_during_a_reservation_is_seen_after_it() {
        let store = Arc::new(Store::default());
        store.apply(member("a", 1, false));
        let held = store.take(&key(), None, 0).unwrap();
        store.apply(member("a", 2, false));
        assert!(store.take(&key(), None, 0).is_none());
        held.lose();
        assert_eq!(store.take(&key(), None, 0).unwrap().entry().version, 2);
    }

    #[test]
    fn claimed_and_killed_sandboxes_leave_the_pool_and_old_events_change_nothing() {
        let store = Arc::new(Store::default());
        store.apply(member("a", 1, false));
        store.apply(member("a", 3, true));
        store.apply(member("a", 2, false));
        assert_eq!(store.available(), 0);
        let entry = store.find("default--a").unwrap();
        assert!(entry.state(jiff::Timestamp::now()).is_some());
        store.kill(&entry);
        store.apply(member("a", 4, true));
        assert!(
            store
                .find("default--a")
                .unwrap()
                .state(jiff::Timestamp::now())
                .is_none()
        );
        assert!(entry.live.is_cut());
        store.remove("default--a", "uid-a");
        assert!(store.find("default--a").is_none());
    }

    #[tokio::test]
    async fn waiting_for_a_sandbox_sees_changes_and_removal() {
        let store = Arc::new(Store::default());
        let waiting = {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let ready = |entry: Option<&Arc<Entry>>| entry.map(|entry| entry.version);
                let version = store.wait_until("default--a", ready).await;
                store
                    .wait_until("default--a", |entry| entry.is_none().then_some(()))
                    .await;
                version
            })
        };
        tokio::task::yield_now().await;
        store.apply(member("a", 7, true));
        tokio::task::yield_now().await;
        store.remove("default--a", "uid-a");
        assert_eq!(waiting.await.unwrap(), 7);
        assert!(store.read().changed.is_empty());
    }
}
