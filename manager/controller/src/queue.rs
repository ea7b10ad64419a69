//! Work queues between the watches, which always run, and the reconcilers,
//! which run only while leading.

use std::sync::{Mutex, PoisonError};

use futures::{
    Stream,
    channel::mpsc::{self, UnboundedSender},
    stream,
};
use kube::{
    Resource,
    runtime::{
        controller::ReconcileRequest,
        reflector::{ObjectRef, Store},
    },
};
use silica_api::crd::{Sandbox, SandboxClaim, SandboxSet};

use crate::cache::Caches;

/// A pod whose Sandbox was deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Orphan {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// UID of the deleted Sandbox, which the pod names as its controller.
    pub(crate) owner: String,
}

/// One queue per reconciler.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) sandboxes: Queue<ObjectRef<Sandbox>>,
    pub(crate) sets: Queue<ObjectRef<SandboxSet>>,
    pub(crate) claims: Queue<ObjectRef<SandboxClaim>>,
    pub(crate) orphans: Queue<Orphan>,
}

impl Queues {
    /// Queues every known object, after a watch may have missed something.
    pub(crate) fn push_all(&self, caches: &Caches) {
        references(&caches.sandboxes).for_each(|reference| self.sandboxes.push(reference));
        references(&caches.sets).for_each(|reference| self.sets.push(reference));
        references(&caches.claims).for_each(|reference| self.claims.push(reference));
    }
}

fn references<K: Resource<DynamicType = ()> + Clone>(store: &Store<K>) -> impl Iterator<Item = ObjectRef<K>> {
    store
        .state()
        .into_iter()
        .map(|object| ObjectRef::from_obj(object.as_ref()))
}

/// A queue that drops what it gets while nobody reads.
///
/// Nothing is lost by that: who starts to read gets every known object first.
/// The reader (a scheduler that knows each object once) empties it at once.
pub(crate) struct Queue<T>(Mutex<Option<UnboundedSender<T>>>);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&self, item: T) {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sender
            .as_ref()
            .is_some_and(|open| open.unbounded_send(item).is_err())
        {
            *sender = None;
        }
    }

    fn replace(&self) -> mpsc::UnboundedReceiver<T> {
        let (sender, receiver) = mpsc::unbounded();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }
}

impl<K> Queue<ObjectRef<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// Starts reading: first every object of `store`, then what is pushed.
    pub(crate) fn open(
        &self,
        store: &Store<K>,
    ) -> impl Stream<Item = Result<ReconcileRequest<K>, std::convert::Infallible>> + use<K> {
        use futures::StreamExt as _;
        // The order matters: an object that appears in between is queued twice
        // rather than never.
        let pushed = self.replace();
        let known: Vec<_> = references(store).collect();
        stream::iter(known)
            .chain(pushed)
            .map(|reference| Ok(reference.into()))
    }
}

impl Queue<Orphan> {
    /// Starts reading.
    pub(crate) fn open(&self) -> mpsc::UnboundedReceiver<Orphan> {
        self.replace()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn orphan(name: &str) -> Orphan {
        Orphan {
            namespace: "ns".to_owned(),
            name: name.to_owned(),
            owner: "uid".to_owned(),
        }
    }

    #[test]
    fn only_what_is_pushed_after_opening_is_read() {
        let queue = Queue::<Orphan>::default();
        queue.push(orphan("early"));
        let mut reader = queue.open();
        queue.push(orphan("late"));
        assert_eq!(futures::executor::block_on(reader.next()), Some(orphan("late")));
    }

    #[test]
    fn pushing_without_a_reader_keeps_nothing() {
        let queue = Queue::<Orphan>::default();
        drop(queue.open());
        queue.push(orphan("lost"));
        assert!(queue.0.lock().unwrap().is_none());
    }
}
