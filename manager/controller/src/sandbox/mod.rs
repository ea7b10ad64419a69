//! Reconciles one Sandbox: its pod, its deadlines, its status.

mod apply;
mod binding;
mod confirm;
mod decide;
mod desired;
mod failure;
mod image;
mod observe;
mod status;

use std::sync::Arc;

use jiff::Timestamp;
use kube::{
    Resource, ResourceExt,
    runtime::{controller::Action, reflector::Store},
};
use silica_api::crd::Sandbox;

use crate::{
    cache::Caches,
    context::Context,
    driver::{LONGEST_SLEEP, RETRY, Reconciled},
    metrics::{Metrics, Number},
};
pub(crate) use image::put_main_first;
pub(crate) use status::Conditions;

/// Why a reconciliation failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Observe(#[from] observe::Error),
    #[error(transparent)]
    Apply(#[from] apply::Error),
}

impl Reconciled for Sandbox {
    fn store(caches: &Caches) -> &Store<Self> {
        &caches.sandboxes
    }

    fn reconciles(metrics: &Metrics) -> &Number {
        &metrics.sandbox_reconciles
    }

    fn errors(metrics: &Metrics) -> &Number {
        &metrics.sandbox_reconcile_errors
    }
}

/// Looks at one and does what is to do for it; returns when to look again.
pub(crate) async fn reconcile(sandbox: Arc<Sandbox>, context: Arc<Context>) -> Result<Action, Error> {
    let now = Timestamp::now();

    // (client) the pod of this name, if any
    let seen = observe::pod(&sandbox, &context).await?;
    // (pure) the one thing to do next
    let step = decide::step(&sandbox, &seen, now);
    tracing::debug!(
        namespace = sandbox.namespace(), sandbox = sandbox.name_any(), kind = %Sandbox::kind(&()), ?step, "reconciling",
    );
    // (client) do it
    let outcome = apply::step(&sandbox, seen, step, &context).await?;
    let outcome = match outcome {
        apply::Done::Gone => return Ok(Action::await_change()),
        apply::Done::Again => return Ok(Action::requeue(RETRY)),
        apply::Done::Observed(outcome) => outcome,
    };
    // (pure) what that means for the status
    let status = status::next(&sandbox, &outcome, now);
    if let Some(pause) = confirm::may_wait(&sandbox, &status, now) {
        return Ok(Action::requeue(pause));
    }
    // (client) write it, if it differs, and say what went wrong
    let news = status::news(sandbox.status.as_ref(), &status);
    apply::status(&sandbox, status, &context).await?;
    if let Some((reason, message)) = news {
        context.events.warning(sandbox.as_ref(), &reason, &message);
    }

    let retry = outcome.is_trouble().then_some(RETRY);
    let deadline = decide::until_deadline(&sandbox, Timestamp::now()).map(|left| left.min(LONGEST_SLEEP));
    Ok(retry
        .into_iter()
        .chain(deadline)
        .min()
        .map_or_else(Action::await_change, Action::requeue))
}
