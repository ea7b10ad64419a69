//! Claims the pending sandboxes, and finds out how far they are.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::reflector::ObjectRef,
};
use serde_json::json;
use silica_api::{
    crd::{PendingSandbox, Sandbox, SandboxClaim, SandboxSet},
    labels, names,
};
use silica_core::{
    chain::Chain,
    claim::{Claim, Facts, OnTimeout, is_available},
    init, sealed,
};

use super::{
    observe::is_owned,
    order::Order,
    standing::{Standing, standing},
    status::Outcome,
};
use crate::{context::Context, daemon, template};

/// Sandboxes at a time per claim.
const CONCURRENCY: usize = 16;
/// Looks at one sandbox that changes all the time.
const TRIES: usize = 3;

/// What is claimed, and how.
pub(super) struct Work<'a> {
    pub(super) claim: &'a SandboxClaim,
    pub(super) set: Option<&'a SandboxSet>,
    pub(super) order: &'a Order,
    /// Otherwise only what belongs to the claim already is looked at.
    pub(super) may_claim: bool,
    pub(super) now: Timestamp,
}

/// Who has a sandbox, as far as is known.
enum Holder {
    /// The claim has it.
    Ours(Box<Sandbox>),
    /// Somebody else has it, or it is gone.
    Others,
    /// It could not be claimed or looked at.
    Unknown(String),
}

/// Claims and looks at all of them.
pub(super) async fn all(
    work: &Work<'_>,
    pending: &[PendingSandbox],
    context: &Context,
) -> Vec<(PendingSandbox, Outcome)> {
    stream::iter(pending.iter().cloned())
        .map(|pending| async move {
            let outcome = one(work, &pending, context).await;
            (pending, outcome)
        })
        .buffered(CONCURRENCY)
        .collect()
        .await
}

async fn one(work: &Work<'_>, pending: &PendingSandbox, context: &Context) -> Outcome {
    let api: Api<Sandbox> = Api::namespaced(
        context.client.clone(),
        &work.claim.namespace().unwrap_or_default(),
    );
    let sandbox = match acquire(work, pending, &api, context).await {
        Holder::Ours(sandbox) => sandbox,
        Holder::Others => return Outcome::Lost,
        Holder::Unknown(message) => return Outcome::Stuck(message),
    };
    let failure = match standing(&sandbox, &work.claim.spec, pending, Timestamp::now()) {
        Standing::Waiting(message) => return Outcome::Waiting(message),
        Standing::Failed(message) => message,
        Standing::Ready(address) => match initialise(work, &sandbox, address, context).await {
            Ok(()) => return Outcome::Ready,
            Err(error) => format!("its runtime did not start: {}", Chain(&error)),
        },
    };
    match give_up(work, &sandbox, &api).await {
        Ok(()) => Outcome::Failed(failure),
        Err(error) => Outcome::Stuck(format!("failed to give it up: {error}")),
    }
}

/// Makes the sandbox the claim's own, unless it is. That it is somebody else's is believed of
/// the API server alone: its answer is younger than every request that a former controller
/// may have left on its way, and those hold for the version that it had seen.
async fn acquire(work: &Work<'_>, pending: &PendingSandbox, api: &Api<Sandbox>, context: &Context) -> Holder {
    let namespace = work.claim.namespace().unwrap_or_default();
    let reference = ObjectRef::new(&pending.name).within(&namespace);
    let mut cached = context.caches.sandboxes.get(&reference);
    for _ in 0..TRIES {
        let is_cached = cached.is_some();
        let sandbox = match cached.take() {
            Some(sandbox) => Arc::unwrap_or_clone(sandbox),
            None => match api.get_opt(&pending.name).await {
                Ok(Some(sandbox)) => sandbox,
                Ok(None) => match create(work, pending, api, context).await {
                    Some(holder) => return holder,
                    None => continue,
                },
                Err(error) => return Holder::Unknown(refusal(&error)),
            },
        };
        if is_owned(&sandbox, &work.claim.uid().unwrap_or_default()) {
            return Holder::Ours(Box::new(sandbox));
        }
        let is_free = work.may_claim && !pending.created && is_available(Facts::from(&sandbox));
        if !is_free && is_cached {
            continue;
        }
        if !is_free {
            return Holder::Others;
        }
        match take(work, &sandbox, api, context).await {
            Ok(sandbox) => return Holder::Ours(Box::new(sandbox)),
            // Somebody was faster, or the object changed.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => return Holder::Unknown(refusal(&error)),
        }
    }
    Holder::Unknown("it changed while it was looked at".to_owned())
}

async fn take(
    work: &Work<'_>,
    sandbox: &Sandbox,
    api: &Api<Sandbox>,
    context: &Context,
) -> Result<Sandbox, kube::Error> {
    let (uid, version) = (sandbox.uid(), sandbox.resource_version());
    let patch = write(work, &sandbox.name_any(), context)
        .render_patch(&uid.unwrap_or_default(), &version.unwrap_or_default());
    let taken = api
        .patch(&sandbox.name_any(), &patch_params(), &Patch::Merge(patch))
        .await?;
    context.metrics.claim_sandboxes_taken.increment();
    Ok(taken)
}

/// Makes a sandbox that does not exist; nothing when somebody has made it meanwhile.
async fn create(
    work: &Work<'_>,
    pending: &PendingSandbox,
    api: &Api<Sandbox>,
    context: &Context,
) -> Option<Holder> {
    let Some(set) = work.set.filter(|_| pending.created && work.may_claim) else {
        return Some(Holder::Others);
    };
    let object = write(work, &pending.name, context).render_sandbox(set, &pending.name);
    let object: Sandbox = match object.and_then(serde_json::from_value) {
        Ok(object) => object,
        Err(error) => return Some(Holder::Unknown(format!("the template is malformed: {error}"))),
    };
    let parameters = PostParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PostParams::default()
    };
    match api.create(&parameters, &object).await {
        Ok(sandbox) => {
            context.metrics.claim_sandboxes_made.increment();
            Some(Holder::Ours(Box::new(sandbox)))
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => None,
        Err(error) => Some(Holder::Unknown(refusal(&error))),
    }
}

/// What a claim writes into a sandbox of this name.
fn write(work: &Work<'_>, name: &str, context: &Context) -> Claim {
    let spec = &work.claim.spec;
    let namespace = work.claim.namespace().unwrap_or_default();
    let lock = format!("{:032x}", rand::random::<u128>());
    let id = format!("{namespace}--{name}");
    let mut labels = spec.labels.clone();
    labels.insert(labels::CLAIM_NAME.to_owned(), work.claim.name_any());
    Claim {
        owner: work.claim.uid().unwrap_or_default(),
        sealed_env: sealed::seal(&context.settings.token_key, &id, &lock, &spec.env_vars),
        lock,
        now: work.now,
        deadline: spec.shutdown_time.as_ref().map(|time| time.0),
        on_timeout: OnTimeout::Kill,
        auto_resume: None,
        metadata: BTreeMap::new(),
        labels,
        annotations: spec.annotations.clone(),
        initialised_container: None,
        // The server does not call the runtime either, as it would after a crash.
        skip_init: spec.skip_init_runtime,
        idempotency: None,
        image: work.order.image.clone(),
        mounts: work.order.mounts.clone(),
        secure: true,
        private_traffic: false,
    }
}

/// Hands the daemon to the claim, where there is one.
async fn initialise(
    work: &Work<'_>,
    sandbox: &Sandbox,
    address: IpAddr,
    context: &Context,
) -> Result<(), daemon::Error> {
    let spec = &work.claim.spec;
    let (namespace, name) = (sandbox.namespace().unwrap_or_default(), sandbox.name_any());
    let blueprint = template::resolve(&sandbox.spec, |name| context.caches.template(&namespace, name));
    if spec.skip_init_runtime || !blueprint.is_ok_and(|blueprint| blueprint.has_runtime()) {
        return Ok(());
    }
    let token = context
        .settings
        .token_key
        .envd_token(&sandbox.uid().unwrap_or_default());
    let request = init::request(
        &format!("{namespace}--{name}"),
        &spec.template_name,
        Some(&token),
        &spec.env_vars,
        Timestamp::now(),
    );
    daemon::init(address, &token, &request).await
}

/// Deletes a failed sandbox, or keeps it without a deadline when asked to.
async fn give_up(work: &Work<'_>, sandbox: &Sandbox, api: &Api<Sandbox>) -> Result<(), kube::Error> {
    let name = sandbox.name_any();
    let result = if work.claim.spec.reserve_failed_sandbox {
        let patch = json!({
            "metadata": { "uid": sandbox.uid(), "labels": { labels::RESERVED_FAILED: "true" } },
            "spec": { "shutdownTime": null, "pauseTime": null },
        });
        api.patch(&name, &patch_params(), &Patch::Merge(patch))
            .await
            .map(drop)
    } else {
        let exactly_this = Preconditions {
            uid: sandbox.uid(),
            resource_version: None,
        };
        let parameters = DeleteParams::background().preconditions(exactly_this);
        api.delete(&name, &parameters).await.map(drop)
    };
    match result {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        result => result,
    }
}

/// Tells what happened.
pub(super) fn report(claim: &SandboxClaim, outcomes: &[(PendingSandbox, Outcome)], context: &Context) {
    let mut claimed = Vec::new();
    for (pending, outcome) in outcomes {
        match outcome {
            Outcome::Ready => claimed.push(pending.name.as_str()),
            Outcome::Failed(message) => {
                context.metrics.claim_sandboxes_failed.increment();
                let note = format!("Gave up {}: {message}", pending.name);
                context.events.warning(claim, "ClaimedSandboxFailed", &note);
            }
            Outcome::Lost => context.metrics.claim_conflicts.increment(),
            Outcome::Waiting(_) | Outcome::Stuck(_) => {}
        }
    }
    if !claimed.is_empty() {
        let note = format!("Claimed {} sandboxes: {}", claimed.len(), claimed.join(", "));
        context.events.normal(claim, "SandboxClaimed", &note);
    }
}

fn patch_params() -> PatchParams {
    PatchParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PatchParams::default()
    }
}

/// The API server's own words without the noise around them.
fn refusal(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("the API server refused it: {}", status.message),
        other => format!("the API server did not answer: {other}"),
    }
}
