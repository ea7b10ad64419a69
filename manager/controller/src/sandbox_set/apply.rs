//! Carries a plan out against the API server.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;
use silica_api::{
    crd::{Sandbox, SandboxSet, SandboxSetStatus},
    names,
};

use super::{
    desired, member_name,
    plan::{Plan, Removal},
    validate::Pool,
};
use crate::{context::Context, memory::PoolMemory, status_patch};

/// Requests at a time per set.
const CONCURRENCY: usize = 16;
/// Names tried when one is taken already.
const NAME_TRIES: usize = 3;

/// Why the status could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to encode the status")]
    EncodeStatus(#[source] serde_json::Error),
    #[error("failed to write the status")]
    WriteStatus(#[source] Box<kube::Error>),
}

/// Deletes and creates. Returns what went wrong, for the condition; the memory
/// knows when to try again.
pub(super) async fn plan(
    set: &SandboxSet,
    pool: &Pool,
    plan: &Plan,
    memory: &mut PoolMemory,
    context: &Context,
) -> Option<String> {
    let api: Api<Sandbox> = Api::namespaced(context.client.clone(), &set.namespace().unwrap_or_default());
    delete(set, plan, memory, &api, context).await;
    create(set, pool, plan.create, memory, &api, context).await
}

async fn delete(
    set: &SandboxSet,
    plan: &Plan,
    memory: &mut PoolMemory,
    api: &Api<Sandbox>,
    context: &Context,
) {
    let deletions = plan.delete.iter().cloned().map(|(sandbox, why)| {
        let api = api.clone();
        async move {
            // The resource version protects a sandbox that is being claimed: the
            // claim changes it, and the deletion fails.
            let exactly_this = Preconditions {
                uid: sandbox.uid(),
                resource_version: sandbox.resource_version(),
            };
            let parameters = DeleteParams::default().preconditions(exactly_this);
            let result = api.delete(&sandbox.name_any(), &parameters).await;
            (sandbox, why, result)
        }
    });
    let mut results = stream::iter(deletions).buffer_unordered(CONCURRENCY);
    while let Some((sandbox, why, result)) = results.next().await {
        match result {
            Ok(_) => {
                memory.note_deleted(sandbox.uid().unwrap_or_default(), Timestamp::now());
                report_deletion(set, &sandbox, why, context);
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                memory.note_deleted(sandbox.uid().unwrap_or_default(), Timestamp::now());
            }
            // It changed meanwhile: the watch brings it back.
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            Err(error) => {
                tracing::warn!(sandbox = sandbox.name_any(), %error, "failed to delete a pool member");
            }
        }
    }
}

fn report_deletion(set: &SandboxSet, sandbox: &Sandbox, why: Removal, context: &Context) {
    let name = sandbox.name_any();
    tracing::info!(
        namespace = set.namespace(),
        set = set.name_any(),
        sandbox = name,
        ?why,
        "deleted a pool member"
    );
    match why {
        Removal::Failed => {
            context.metrics.pool_sandboxes_failed.increment();
            let message = sandbox
                .status
                .as_ref()
                .and_then(|status| status.message.as_deref())
                .unwrap_or("it failed");
            context
                .events
                .warning(set, "FailedSandboxDeleted", &format!("Deleted {name}: {message}"));
        }
        Removal::ScaledDown => {
            context.metrics.pool_sandboxes_scaled_down.increment();
            context
                .events
                .normal(set, "SandboxScaledDown", &format!("Deleted {name}"));
        }
        Removal::Outdated => {
            context.metrics.pool_sandboxes_replaced.increment();
            context.events.normal(
                set,
                "SandboxReplaced",
                &format!("Deleted {name} of an older template"),
            );
        }
    }
}

async fn create(
    set: &SandboxSet,
    pool: &Pool,
    count: usize,
    memory: &mut PoolMemory,
    api: &Api<Sandbox>,
    context: &Context,
) -> Option<String> {
    if count == 0 {
        return None;
    }
    memory.burst.end();
    let mut results =
        stream::iter((0..count).map(|_| create_one(set, pool, api))).buffer_unordered(CONCURRENCY);
    let (mut created, mut failure) = (Vec::new(), None);
    while let Some(result) = results.next().await {
        match result {
            Ok(name) => {
                memory.note_created(name.clone(), Timestamp::now());
                context.metrics.pool_sandboxes_created.increment();
                created.push(name);
            }
            Err(error) => failure = Some(error),
        }
    }
    if !created.is_empty() {
        tracing::info!(
            namespace = set.namespace(),
            set = set.name_any(),
            count = created.len(),
            "created pool members"
        );
        let note = format!("Created {} sandboxes: {}", created.len(), created.join(", "));
        context.events.normal(set, "SandboxCreated", &note);
    }
    let message = match failure? {
        // The namespace is going away, and the set with it.
        kube::Error::Api(status) if status.message.contains("because it is being terminated") => return None,
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    };
    tracing::warn!(
        namespace = set.namespace(),
        set = set.name_any(),
        message,
        "failed to create pool members"
    );
    context.events.warning(set, "CreateSandboxFailed", &message);
    memory.backoff.fail(&message, Timestamp::now());
    Some(message)
}

/// Creates one member under a fresh name. When the answer is lost, the name is
/// too, so that a second one may appear; the next look deletes the surplus.
async fn create_one(set: &SandboxSet, pool: &Pool, api: &Api<Sandbox>) -> Result<String, kube::Error> {
    let parameters = PostParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PostParams::default()
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let name = member_name::random(set);
        match api
            .create(&parameters, &desired::member(set, pool, name.clone()))
            .await
        {
            Ok(_) => return Ok(name),
            Err(kube::Error::Api(status)) if status.is_already_exists() && tries < NAME_TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes the status if it differs from the known one.
pub(super) async fn status(
    set: &SandboxSet,
    status: SandboxSetStatus,
    context: &Context,
) -> Result<(), Error> {
    let old = set.status.clone().unwrap_or_default();
    let changes = match status_patch::diff(&old, &status).map_err(Error::EncodeStatus)? {
        Some(changes) if set.status.is_some() => changes,
        // The first status is written whole: its zeroes are news.
        _ if set.status.is_none() => serde_json::to_value(&status).map_err(Error::EncodeStatus)?,
        _ => return Ok(()),
    };
    let api: Api<SandboxSet> = Api::namespaced(context.client.clone(), &set.namespace().unwrap_or_default());
    let patch = json!({"metadata": {"uid": set.uid()}, "status": changes});
    let parameters = PatchParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch_status(&set.name_any(), &parameters, &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::WriteStatus(Box::new(error))),
    }
}
