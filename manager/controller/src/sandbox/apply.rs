//! Carries a step out against the API server.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;
use silica_api::{
    crd::{Sandbox, SandboxStatus},
    names,
};

use super::{
    binding,
    decide::Step,
    desired, image,
    observe::{self, Seen},
    status::{Outcome, Trouble},
};
use crate::{context::Context, status_patch, template};

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to delete the sandbox")]
    DeleteSandbox(#[source] Box<kube::Error>),
    #[error("failed to ask for a pause")]
    RequestPause(#[source] Box<kube::Error>),
    #[error("failed to delete the pod")]
    DeletePod(#[source] Box<kube::Error>),
    #[error(transparent)]
    Observe(#[from] observe::Error),
    #[error("failed to encode the status")]
    EncodeStatus(#[source] serde_json::Error),
    #[error("failed to write the status")]
    WriteStatus(#[source] Box<kube::Error>),
}

/// How a step ended.
pub(crate) enum Done {
    /// The Sandbox is deleted or about to change; a watch event follows.
    Gone,
    /// The cache is behind; look again.
    Again,
    /// The state from which the status follows.
    Observed(Outcome),
}

/// Carries `step` out.
pub(crate) async fn step(
    sandbox: &Sandbox,
    seen: Seen,
    step: Step,
    context: &Context,
) -> Result<Done, Error> {
    match step {
        Step::Expire => expire(sandbox, context).await,
        Step::RequestPause => request_pause(sandbox, context).await,
        Step::BeginPause => Ok(Done::Observed(Outcome::Pausing)),
        Step::DeletePod => {
            if let Seen::Own(pod) = &seen {
                delete_pod(pod, context).await?;
            }
            Ok(Done::Observed(seen.into()))
        }
        Step::CreatePod => create_pod(sandbox, context).await,
        Step::ChangeImage => change_image(sandbox, seen, context).await,
        Step::RecordLoss => Ok(Done::Observed(Outcome::Lost)),
        Step::Track => Ok(Done::Observed(seen.into())),
    }
}

async fn expire(sandbox: &Sandbox, context: &Context) -> Result<Done, Error> {
    let api: Api<Sandbox> = Api::namespaced(context.client.clone(), &sandbox.namespace().unwrap_or_default());
    // The resource version protects a deadline that was extended just now.
    let exactly_this = Preconditions {
        uid: sandbox.uid(),
        resource_version: sandbox.resource_version(),
    };
    match api
        .delete(
            &sandbox.name_any(),
            &DeleteParams::default().preconditions(exactly_this),
        )
        .await
    {
        Ok(_) => {
            context.metrics.sandboxes_expired.increment();
            context.events.normal(
                sandbox,
                "ShutdownTimeReached",
                "Deleted the sandbox at its shutdown time",
            );
            tracing::info!(
                namespace = sandbox.namespace(),
                sandbox = sandbox.name_any(),
                "shutdown time reached"
            );
            Ok(Done::Gone)
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Done::Gone),
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Done::Again),
        Err(error) => Err(Error::DeleteSandbox(Box::new(error))),
    }
}

async fn request_pause(sandbox: &Sandbox, context: &Context) -> Result<Done, Error> {
    let api: Api<Sandbox> = Api::namespaced(context.client.clone(), &sandbox.namespace().unwrap_or_default());
    let patch = json!({
        "metadata": {"resourceVersion": sandbox.resource_version()},
        "spec": {"paused": true, "pauseTime": null},
    });
    let parameters = PatchParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch(&sandbox.name_any(), &parameters, &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(Done::Gone),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Done::Gone),
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Done::Again),
        Err(error) => Err(Error::RequestPause(Box::new(error))),
    }
}

async fn delete_pod(pod: &Pod, context: &Context) -> Result<(), Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &pod.namespace().unwrap_or_default());
    let exactly_this = Preconditions {
        uid: pod.uid(),
        resource_version: None,
    };
    match api
        .delete(
            &pod.name_any(),
            &DeleteParams::default().preconditions(exactly_this),
        )
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::DeletePod(Box::new(error))),
    }
}

/// Changes the image in the pod. A refusal of the API server is an outcome, as with
/// a new pod.
async fn change_image(sandbox: &Sandbox, seen: Seen, context: &Context) -> Result<Done, Error> {
    let (Seen::Own(pod), Some(wanted)) = (&seen, image::pending(sandbox)) else {
        return Ok(Done::Observed(seen.into()));
    };
    let Some(patch) = image::render_patch(pod, wanted) else {
        return Ok(Done::Observed(seen.into()));
    };
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &pod.namespace().unwrap_or_default());
    let parameters = PatchParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch(&pod.name_any(), &parameters, &Patch::Strategic(patch))
        .await
    {
        Ok(pod) => {
            tracing::info!(
                namespace = sandbox.namespace(),
                sandbox = sandbox.name_any(),
                image = wanted,
                "changed the image of the pod"
            );
            Ok(Done::Observed(Outcome::Pod(Arc::new(pod))))
        }
        // The pod changed at the same time; the watch shows how.
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(Done::Again),
        Err(error) => {
            let message = refusal("change of the image", &error);
            Ok(Done::Observed(Outcome::Trouble(Trouble::ImageRefused(message))))
        }
    }
}

/// Creates the volume claims and the pod. What the API server or the template
/// refuses is an outcome, not an error: it belongs into the status.
async fn create_pod(sandbox: &Sandbox, context: &Context) -> Result<Done, Error> {
    let namespace = sandbox.namespace().unwrap_or_default();
    let trouble = |trouble| Ok(Done::Observed(Outcome::Trouble(trouble)));
    let blueprint = match template::resolve(&sandbox.spec, |name| context.caches.template(&namespace, name)) {
        Ok(blueprint) => blueprint,
        Err(error) => return trouble(Trouble::InvalidTemplate(error.to_string())),
    };
    let bound = match binding::read(sandbox, context).await {
        Ok(bound) => bound,
        Err(error @ binding::Error::List(_)) => return trouble(Trouble::CreateFailed(error.to_string())),
        Err(error) => return trouble(Trouble::VolumeRefused(error.to_string())),
    };
    let objects = match desired::objects(sandbox, &blueprint, &bound, &context.settings) {
        Ok(objects) => objects,
        Err(error @ desired::Error::MountTaken { .. }) => {
            return trouble(Trouble::VolumeRefused(error.to_string()));
        }
        Err(error) => return trouble(Trouble::InvalidTemplate(error.to_string())),
    };

    if blueprint.wants_runtime()
        && let Err(error) = context.copies.ensure(&context.settings.runtime, &namespace).await
    {
        let why = std::error::Error::source(&error).map(ToString::to_string);
        let message = format!("{error}: {}", why.unwrap_or_default());
        return trouble(Trouble::CreateFailed(message));
    }

    let claims: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &namespace);
    let parameters = PostParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PostParams::default()
    };
    for claim in &objects.claims {
        match claims.create(&parameters, claim).await {
            Ok(_) => {}
            // Kept over a pause, or made by an earlier try.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return trouble(Trouble::CreateFailed(refusal("volume claim", &error))),
        }
    }
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    match pods.create(&parameters, &objects.pod).await {
        Ok(pod) => {
            context.metrics.pods_created.increment();
            Ok(Done::Observed(Outcome::Pod(Arc::new(pod))))
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            // The cache is behind, or the pod is not ours and so not in the cache.
            let uid = sandbox.uid().unwrap_or_default();
            let seen = observe::read(context, &namespace, &sandbox.name_any(), &uid).await?;
            Ok(if matches!(seen, Seen::Absent) {
                Done::Again
            } else {
                Done::Observed(seen.into())
            })
        }
        Err(kube::Error::Api(status)) if is_terminating_namespace(&status) => Ok(Done::Gone),
        Err(error) => {
            let message = refusal("pod", &error);
            trouble(Trouble::CreateFailed(message))
        }
    }
}

fn is_terminating_namespace(status: &kube::core::Status) -> bool {
    status.is_forbidden() && status.message.contains("because it is being terminated")
}

/// The API server's own words without the noise around them.
fn refusal(what: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("the API server refused the {what}: {}", status.message),
        other => format!("failed to write the {what}: {other}"),
    }
}

/// Writes the status if it differs from the known one.
pub(crate) async fn status(sandbox: &Sandbox, status: SandboxStatus, context: &Context) -> Result<(), Error> {
    let old = sandbox.status.clone().unwrap_or_default();
    let Some(changes) = status_patch::diff(&old, &status).map_err(Error::EncodeStatus)? else {
        return Ok(());
    };
    let api: Api<Sandbox> = Api::namespaced(context.client.clone(), &sandbox.namespace().unwrap_or_default());
    // The UID keeps the status of a deleted Sandbox off its successor.
    let patch = json!({"metadata": {"uid": sandbox.uid()}, "status": changes});
    let parameters = PatchParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch_status(&sandbox.name_any(), &parameters, &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::WriteStatus(Box::new(error))),
    }
}
