//! Reconciles one SandboxSet: keeps the pool of unused sandboxes at its size and
//! on its newest template. Claimed sandboxes are never touched.

mod apply;
mod budget;
mod census;
mod desired;
mod member_name;
mod observe;
mod plan;
mod status;
mod validate;

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::{controller::Action, reflector::Store};
use silica_api::crd::SandboxSet;

use crate::{
    cache::Caches,
    context::Context,
    driver::Reconciled,
    metrics::{Metrics, Number},
};

/// Why a reconciliation failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Apply(#[from] apply::Error),
}

impl Reconciled for SandboxSet {
    fn store(caches: &Caches) -> &Store<Self> {
        &caches.sets
    }

    fn reconciles(metrics: &Metrics) -> &Number {
        &metrics.set_reconciles
    }

    fn errors(metrics: &Metrics) -> &Number {
        &metrics.set_reconcile_errors
    }
}

/// Looks at one and does what is to do for it; returns when to look again.
pub(crate) async fn reconcile(set: Arc<SandboxSet>, context: Arc<Context>) -> Result<Action, Error> {
    let now = Timestamp::now();
    if set.metadata.deletion_timestamp.is_some() {
        // The garbage collector takes the members by their owner reference.
        return Ok(Action::await_change());
    }

    // (caches) the members, and what was done to them that the cache may not show
    let (members, template) = observe::pool(&set, &context);
    // (pure) limits, template and names are sound
    let pool = match validate::pool(&set, template, &context.settings) {
        Ok(pool) => pool,
        Err(error) => {
            let status = status::invalid(&set, &error, now);
            apply::status(&set, status, &context).await?;
            return Ok(Action::await_change());
        }
    };
    let mut memory = observe::memory(&set, &context);
    memory.settle(&members, &pool.revision, now);
    // (pure) who is creating, available, dead
    let census = census::take(&members, &pool.revision, &memory, now);
    memory
        .backoff
        .observe(census.newest_available, census.failure(), now);
    memory.burst.observe(census.unused(&memory), now);
    // (pure) what to create and what to delete
    let plan = plan::plan(&census, &pool.limits, &memory, now);
    // (client) do it; remember it
    let failure = apply::plan(&set, &pool, &plan, &mut memory, &context).await;
    // (pure) the counts as far as they are known now
    let status = status::next(&set, &census, &pool, &memory, failure.as_deref(), now);
    let retry = plan.retry_after(&memory, now);
    let lull = memory.burst.pause(census.available.len(), now);
    observe::remember(&set, memory, &context);
    if let Some(pause) = lull {
        // Counts that change with the next claim are not worth a write now.
        return Ok(Action::requeue(retry.map_or(pause, |retry| retry.min(pause))));
    }
    // (client) write them, if they differ
    apply::status(&set, status, &context).await?;
    Ok(retry.map_or_else(Action::await_change, Action::requeue))
}
