//! Runs the reconciliation of one kind over its queue, and tells what failed.

use std::{convert::Infallible, fmt::Debug, sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use kube::{
    Resource, ResourceExt,
    runtime::{
        controller::{self, Action, ReconcileRequest},
        reflector::Store,
    },
};

use crate::{
    cache::Caches,
    context::Context,
    metrics::{Metrics, Number},
};

/// Pause before what failed is tried again.
pub(crate) const RETRY: Duration = Duration::from_secs(5);
/// A far deadline is looked at this often, so that a clock that jumps, or a
/// machine that slept, delays it by no more than this.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// A kind that is reconciled.
pub(crate) trait Reconciled:
    Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static
{
    /// The objects.
    fn store(caches: &Caches) -> &Store<Self>;
    /// Counts the reconciliations.
    fn reconciles(metrics: &Metrics) -> &Number;
    /// Counts those that failed.
    fn errors(metrics: &Metrics) -> &Number;
}

/// Runs forever over the queue of those that are due, `workers` at once. What failed is told,
/// counted and tried again after [`RETRY`].
pub(crate) async fn run<K, Queue, Reconcile, Outcome, Error>(
    context: Arc<Context>,
    queue: Queue,
    workers: u16,
    reconcile: Reconcile,
) where
    K: Reconciled,
    Queue: Stream<Item = Result<ReconcileRequest<K>, Infallible>>,
    Reconcile: Fn(Arc<K>, Arc<Context>) -> Outcome,
    Outcome: Future<Output = Result<Action, Error>>,
    Error: std::error::Error + 'static,
{
    let store = K::store(&context.caches).clone();
    let kind = K::kind(&()).into_owned();
    controller::applier(
        |object, context: Arc<Context>| {
            K::reconciles(&context.metrics).increment();
            Box::pin(reconcile(object, context))
        },
        move |object: Arc<K>, error: &Error, context: Arc<Context>| {
            K::errors(&context.metrics).increment();
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
