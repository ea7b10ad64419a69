//! Writes the status of a claim, and deletes the claim when its time has come.

use std::sync::Arc;

use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;
use silica_api::{
    crd::{ClaimPhase, SandboxClaim, SandboxClaimStatus, condition},
    names,
};

use super::observe;
use crate::{context::Context, status_patch};

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to encode the status")]
    EncodeStatus(#[source] serde_json::Error),
    #[error("failed to write the status")]
    WriteStatus(#[source] Box<kube::Error>),
    #[error("failed to delete the claim")]
    Delete(#[source] Box<kube::Error>),
}

/// Writes the status into this version of the claim, if it differs. Returns the version with it;
/// nothing when the claim has changed meanwhile.
pub(super) async fn status(
    claim: &Arc<SandboxClaim>,
    status: &SandboxClaimStatus,
    context: &Context,
) -> Result<Option<Arc<SandboxClaim>>, Error> {
    let changes = match &claim.status {
        Some(old) => status_patch::diff(old, status).map_err(Error::EncodeStatus)?,
        // The first status is written whole: its zeroes are news.
        None => Some(serde_json::to_value(status).map_err(Error::EncodeStatus)?),
    };
    let Some(changes) = changes else {
        return Ok(Some(Arc::clone(claim)));
    };
    let api: Api<SandboxClaim> =
        Api::namespaced(context.client.clone(), &claim.namespace().unwrap_or_default());
    let patch = json!({
        "metadata": {"uid": claim.uid(), "resourceVersion": claim.resource_version()},
        "status": changes,
    });
    let parameters = PatchParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch_status(&claim.name_any(), &parameters, &Patch::Merge(patch))
        .await
    {
        Ok(newer) => {
            observe::note(&newer, context);
            Ok(Some(Arc::new(newer)))
        }
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(None),
        Err(error) => Err(Error::WriteStatus(Box::new(error))),
    }
}

/// Deletes a completed claim; its sandboxes do not belong to it in the sense of Kubernetes and stay.
pub(super) async fn expire(claim: &SandboxClaim, context: &Context) -> Result<(), Error> {
    let api: Api<SandboxClaim> =
        Api::namespaced(context.client.clone(), &claim.namespace().unwrap_or_default());
    // The resource version protects a time that was extended just now.
    let exactly_this = Preconditions {
        uid: claim.uid(),
        resource_version: claim.resource_version(),
    };
    let parameters = DeleteParams::default().preconditions(exactly_this);
    match api.delete(&claim.name_any(), &parameters).await {
        Ok(_) => {
            context.metrics.claims_expired.increment();
            tracing::info!(
                namespace = claim.namespace(),
                claim = claim.name_any(),
                "deleted a completed claim"
            );
            Ok(())
        }
        // It is gone, or a watch event shows how it changed.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::Delete(Box::new(error))),
    }
}

/// Tells how a claim ended.
pub(super) fn announce(claim: &SandboxClaim, status: &SandboxClaimStatus, context: &Context) {
    if status.phase != Some(ClaimPhase::Completed) {
        return;
    }
    let reason = status
        .conditions
        .iter()
        .find(|one| one.kind == condition::COMPLETED)
        .map_or(condition::COMPLETED, |one| one.reason.as_str());
    let message = status.message.as_deref().unwrap_or_default();
    tracing::info!(
        namespace = claim.namespace(),
        claim = claim.name_any(),
        reason,
        message,
        "completed a claim"
    );
    if reason == condition::ALL_REPLICAS_CLAIMED {
        context.metrics.claims_fulfilled.increment();
        context.events.normal(claim, reason, message);
    } else {
        context.metrics.claims_unfulfilled.increment();
        context.events.warning(claim, reason, message);
    }
}
