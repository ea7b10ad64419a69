//! Reconciles one SandboxClaim: takes sandboxes out of a pool for it, or makes them.
//!
//! The status is the ledger. A sandbox is written into `status.pending` before it is touched,
//! and that write holds only for the version of the claim that was looked at. So whenever the
//! controller dies, its successor knows every sandbox that a request may still be on its way
//! to, finds out what became of it, and never takes more than were asked for. It signs the
//! ledger first: no entry of the former controller can follow that.

mod apply;
mod end;
mod observe;
mod order;
mod plan;
mod settle;
mod standing;
mod status;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::runtime::{controller::Action, reflector::Store};
use silica_api::crd::{ClaimPhase, SandboxClaim};
use silica_core::claim::member_name;

use crate::{
    cache::Caches,
    context::Context,
    driver::{LONGEST_SLEEP, RETRY, Reconciled},
    metrics::{Metrics, Number},
};

/// Why a reconciliation failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Observe(#[from] observe::Error),
    #[error(transparent)]
    Apply(#[from] apply::Error),
}

impl Reconciled for SandboxClaim {
    fn store(caches: &Caches) -> &Store<Self> {
        &caches.claims
    }

    fn reconciles(metrics: &Metrics) -> &Number {
        &metrics.claim_reconciles
    }

    fn errors(metrics: &Metrics) -> &Number {
        &metrics.claim_reconcile_errors
    }
}

/// Looks at one and does what is to do for it; returns when to look again.
pub(crate) async fn reconcile(claim: Arc<SandboxClaim>, context: Arc<Context>) -> Result<Action, Error> {
    // A watch event that is under way brings the newer version.
    if claim.metadata.deletion_timestamp.is_some() || observe::is_behind(&claim, &context) {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    let phase = claim.status.as_ref().and_then(|status| status.phase);
    if phase == Some(ClaimPhase::Completed) {
        return match plan::until_expiry(&claim, now) {
            Some(Duration::ZERO) => {
                apply::expire(&claim, &context).await?;
                Ok(Action::await_change())
            }
            Some(left) => Ok(Action::requeue(left.min(LONGEST_SLEEP))),
            None => Ok(Action::await_change()),
        };
    }
    work(claim, &context).await
}

/// Claims as long as something can be claimed, one batch after the other.
async fn work(claim: Arc<SandboxClaim>, context: &Context) -> Result<Action, Error> {
    // (client, caches) the ledger, the pool, and whether the claim can be carried out
    let mut ledger = match claim.status.clone().filter(|status| status.phase.is_some()) {
        Some(status) => status,
        None => status::begin(observe::owned(&claim, context).await?, Timestamp::now()),
    };
    let set = observe::set(&claim, context).await?;
    let has_runtime = set.as_deref().and_then(|set| observe::has_runtime(set, context));
    let order = order::order(&claim.spec, has_runtime);
    let mut written = Arc::clone(&claim);
    // (client) what is on its way was written by another controller
    if status::sign(&mut ledger, &context.term) {
        let Some(newer) = apply::status(&written, &ledger, context).await? else {
            return Ok(Action::await_change());
        };
        written = newer;
    }
    let mut trouble = None;
    // Names that this run has found to be lost, whatever the cache says.
    let mut lost = Vec::new();
    loop {
        let now = Timestamp::now();
        // (pure) whether it is over, for another reason than that it has all
        let end_of = |ledger: &_| plan::end(&claim, ledger, set.as_deref(), order.as_ref().err(), now);
        if let Ok(order) = &order {
            let work = settle::Work {
                claim: &claim,
                set: set.as_deref(),
                order,
                may_claim: end_of(&ledger).is_none(),
                now,
            };
            // (client) what became of those on their way
            let outcomes = settle::all(&work, &ledger.pending, context).await;
            settle::report(&claim, &outcomes, context);
            // (pure) what that means for the ledger
            trouble = status::trouble(&outcomes).or(trouble);
            lost.extend(status::settle(&mut ledger, outcomes));
        }
        let end = end_of(&ledger);
        // (pure) who comes next
        let next: Vec<_> = match &set {
            Some(set) if end.is_none() => {
                let candidates = observe::candidates(set, context);
                let chosen = plan::choose(
                    &claim.spec,
                    &ledger,
                    candidates,
                    &lost,
                    rand::random::<u32>() as usize,
                );
                let new_name = || member_name(&claim.spec.template_name, rand::random());
                plan::render(chosen, new_name, now).collect()
            }
            _ => Vec::new(),
        };
        let is_last = next.is_empty();
        ledger.pending.extend(next);
        let now = Timestamp::now();
        if is_last {
            status::conclude(&claim, &mut ledger, end, trouble.as_deref(), now);
        } else {
            status::describe(&claim, &mut ledger, trouble.as_deref());
        }
        // (client) written before anything of it is done
        let Some(newer) = apply::status(&written, &ledger, context).await? else {
            return Ok(Action::await_change());
        };
        if is_last {
            apply::announce(&claim, &ledger, context);
            let retry = trouble.is_some().then_some(RETRY);
            return Ok(plan::pause(&newer, retry, now).map_or_else(Action::await_change, Action::requeue));
        }
        written = newer;
    }
}
