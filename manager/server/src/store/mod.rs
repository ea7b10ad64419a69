//! The view of the cluster that requests are answered from: fed by watches and by
//! the server's own writes, indexed by sandbox id and by pool.

mod entry;
mod live;
mod pool;
mod set_entry;
mod shown;
mod watch;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use jiff::Timestamp;
use tokio::sync::{Notify, watch as channel};

pub(crate) use entry::Entry;
pub(crate) use live::Live;
pub(crate) use pool::{PoolKey, Reservation};
pub(crate) use set_entry::SetEntry;
pub(crate) use watch::{watch_sandboxes, watch_sets};

use pool::{Offer, Pool};

/// The view of the cluster.
#[derive(Default)]
pub(crate) struct Store {
    inner: RwLock<Inner>,
    /// Newest version that the watch has shown.
    shown: channel::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    by_id: HashMap<Box<str>, Arc<Entry>>,
    pools: HashMap<PoolKey, Pool>,
    sets: BTreeMap<PoolKey, Arc<SetEntry>>,
    /// UIDs that this server has deleted and whose deletion the watch has yet to
    /// show; older events must not bring them back.
    killed: HashSet<Box<str>>,
    /// Who waits for a change of one sandbox.
    changed: HashMap<Box<str>, Arc<Notify>>,
}

impl Store {
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sandbox with this id, whatever its state.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.read().by_id.get(id).cloned()
    }

    /// All sandboxes that match.
    pub(crate) fn select(&self, matches: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        self.read()
            .by_id
            .values()
            .filter(|entry| matches(entry))
            .cloned()
            .collect()
    }

    /// How many sandboxes the view holds.
    pub(crate) fn count(&self) -> usize {
        self.read().by_id.len()
    }

    /// Takes over a version of a sandbox, unless a newer one is known.
    pub(crate) fn apply(self: &Arc<Self>, mut entry: Entry) -> Arc<Entry> {
        let mut inner = self.write();
        if inner.killed.contains(&*entry.uid) {
            entry.facts.deleting = true;
        }
        if let Some(known) = inner.by_id.get(entry.id.as_str()) {
            if known.uid == entry.uid && known.version >= entry.version && known.version > 0 {
                return Arc::clone(known);
            }
            if known.uid == entry.uid && known.address == entry.address {
                entry.live = Arc::clone(&known.live);
            } else {
                known.live.cut();
            }
        }
        if entry.is_routable(Timestamp::now()) {
            if entry.live.is_cut() {
                entry.live = Arc::default();
            }
        } else if entry.is_over() {
            entry.live.cut();
        }
        let entry = Arc::new(entry);
        inner.by_id.insert(entry.id.as_str().into(), Arc::clone(&entry));
        let offer = inner.sort_into_pool(&entry);
        let waiting = inner.changed.get(entry.id.as_str()).cloned();
        drop(inner);
        if let Some(waiting) = waiting {
            waiting.notify_waiters();
        }
        self.deliver(offer);
        entry
    }

    /// Forgets a sandbox that no longer exists.
    pub(crate) fn remove(&self, id: &str, uid: &str) {
        let mut inner = self.write();
        inner.killed.remove(uid);
        if inner.by_id.get(id).is_none_or(|entry| *entry.uid != *uid) {
            return;
        }
        let Some(entry) = inner.by_id.remove(id) else {
            return;
        };
        inner.leave_pool(&entry);
        let waiting = inner.changed.get(id).cloned();
        drop(inner);
        entry.live.cut();
        if let Some(waiting) = waiting {
            waiting.notify_waiters();
        }
    }

    /// Treats a sandbox as gone from now on: its deletion was accepted.
    pub(crate) fn kill(&self, entry: &Entry) {
        let mut inner = self.write();
        let Some(known) = inner
            .by_id
            .get(entry.id.as_str())
            .filter(|known| known.uid == entry.uid)
            .cloned()
        else {
            drop(inner);
            entry.live.cut();
            return;
        };
        inner.killed.insert(entry.uid.clone());
        inner.leave_pool(&known);
        let mut gone = Entry::clone(&known);
        gone.facts.deleting = true;
        inner.by_id.insert(entry.id.as_str().into(), Arc::new(gone));
        let waiting = inner.changed.get(entry.id.as_str()).cloned();
        drop(inner);
        known.live.cut();
        if let Some(waiting) = waiting {
            waiting.notify_waiters();
        }
    }

    /// Forgets every sandbox that a complete list did not show; entries newer than
    /// the list stay.
    fn retain_listed(&self, listed: &HashSet<Box<str>>, newest: u64) {
        let missing: Vec<_> = self
            .select(|entry| !listed.contains(entry.id.as_str()) && entry.version <= newest)
            .into_iter()
            .map(|entry| (entry.id.clone(), entry.uid.clone()))
            .collect();
        for (id, uid) in missing {
            self.remove(id.as_str(), &uid);
        }
    }

    /// Waits until the sandbox satisfies the condition, which also sees when it is gone.
    pub(crate) async fn wait_until<T>(
        &self,
        id: &str,
        condition: impl Fn(Option<&Arc<Entry>>) -> Option<T>,
    ) -> T {
        let notify = Arc::clone(self.write().changed.entry(id.into()).or_default());
        let _cleanup = Waiting {
            store: self,
            id,
            notify: &notify,
        };
        loop {
            // Listening starts before looking, so that no change is missed.
            let mut changed = std::pin::pin!(notify.notified());
            changed.as_mut().enable();
            if let Some(result) = condition(self.find(id).as_ref()) {
                return result;
            }
            changed.await;
        }
    }

    /// The set with this key.
    pub(crate) fn find_set(&self, key: &PoolKey) -> Option<Arc<SetEntry>> {
        self.read().sets.get(key).cloned()
    }

    /// All sets, ordered by namespace and name.
    pub(crate) fn sets(&self) -> Vec<Arc<SetEntry>> {
        self.read().sets.values().cloned().collect()
    }

    fn put_set(&self, set: SetEntry) {
        self.write().sets.insert(set.key.clone(), Arc::new(set));
    }

    fn remove_set(&self, key: &PoolKey) {
        self.write().sets.remove(key);
    }

    fn retain_sets(&self, listed: &HashSet<PoolKey>) {
        self.write().sets.retain(|key, _| listed.contains(key));
    }

    /// Closes upstream connections that nobody has used for a while.
    pub(crate) fn sweep_connections(&self) {
        for entry in self.select(|entry| entry.address.is_some() && !entry.live.is_cut()) {
            entry.live.connections.sweep();
        }
    }

    fn deliver(self: &Arc<Self>, offer: Option<Offer>) {
        if let Some(Offer { waiter, key, entry }) = offer {
            // A waiter that has gone away meanwhile drops the reservation, and its
            // drop offers the sandbox to the next one.
            let _ = waiter.send(Reservation::new(Arc::clone(self), key, entry));
        }
    }
}

/// Removes the entry of [`Inner::changed`] with its last user.
struct Waiting<'a> {
    store: &'a Store,
    id: &'a str,
    notify: &'a Arc<Notify>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.store.write();
        // One count is the map's, one is ours.
        if Arc::strong_count(self.notify) <= 2 {
            inner.changed.remove(self.id);
        }
    }
}

/// Requests that wait for a sandbox of a pool, in order of arrival.
type Waiters = VecDeque<tokio::sync::oneshot::Sender<Reservation>>;
