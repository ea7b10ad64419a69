//! Runs the reconciliation of one kind over its queue, and tells what failed.

use std::{convert::Infallible, fmt::Debug, hash::Hash, sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use kube::{
    Resource, ResourceExt,
    runtime::{
        controller::{self, Action, ReconcileRequest},
        reflector::Store,
    },
};

use crate::{context::Context, metrics::Number};

/// Pause before what failed is tried again.
pub(crate) const RETRY: Duration = Duration::from_secs(5);
/// A far deadline is looked at this often, so that a clock that jumps, or a
/// machine that slept, delays it by no more than this.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// What is reconciled, and how much of it at a time.
pub(crate) struct Work<K, Queue>
where
    K: Resource + 'static,
    K::DynamicType: Eq + Hash,
{
    /// The objects.
    pub(crate) store: Store<K>,
    /// Which of them are due.
    pub(crate) queue: Queue,
    /// How many at once.
    pub(crate) workers: u16,
    /// Counts the failures.
    pub(crate) errors: fn(&Context) -> &Number,
}

/// Runs for ever over the queue. What failed is told, counted and tried again after [`RETRY`].
pub(crate) async fn run<K, Queue, Reconcile, Outcome, Error>(
    context: Arc<Context>,
    work: Work<K, Queue>,
    reconcile: Reconcile,
) where
    K: Resource + Clone + 'static,
    K::DynamicType: Default + Debug + Eq + Hash + Clone + Unpin,
    Queue: Stream<Item = Result<ReconcileRequest<K>, Infallible>>,
    Reconcile: Fn(Arc<K>, Arc<Context>) -> Outcome,
    Outcome: Future<Output = Result<Action, Error>>,
    Error: std::error::Error + 'static,
{
    let Work {
        store,
        queue,
        workers,
        errors,
    } = work;
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    controller::applier(
        |object, context| Box::pin(reconcile(object, context)),
        move |object: Arc<K>, error: &Error, context: Arc<Context>| {
            errors(&context).increment();
            tracing::warn!(
                %kind,
                namespace = object.namespace(),
                name = object.name_any(),
                error = error as &dyn std::error::Error,
                "failed to reconcile",
            );
            Action::requeue(RETRY)
        },
        context,
        store,
        queue,
        controller::Config::default().concurrency(workers),
    )
    // Failures are reported above; a missing object is a deleted one.
    .for_each(|_| async {})
    .await;
}
