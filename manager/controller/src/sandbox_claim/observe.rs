//! Reads what a claim needs from the caches, and from the API server where they may be behind.

use std::sync::{Arc, PoisonError};

use kube::{Api, ResourceExt, api::ListParams, runtime::reflector::ObjectRef};
use silica_api::{
    crd::{Sandbox, SandboxClaim, SandboxSet},
    labels,
};
use silica_core::{
    annotations,
    claim::{Facts, is_available},
};

use super::plan::Candidate;
use crate::{context::Context, template};

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to list the sandboxes of the claim")]
    Owned(#[source] Box<kube::Error>),
    #[error("failed to read the SandboxSet")]
    Set(#[source] Box<kube::Error>),
}

/// Whether the cache has not shown the last write yet.
pub(super) fn is_behind(claim: &SandboxClaim, context: &Context) -> bool {
    let mut memory = context.claims.lock().unwrap_or_else(PoisonError::into_inner);
    memory.is_behind(claim)
}

/// Remembers what was written.
pub(super) fn note(claim: &SandboxClaim, context: &Context) {
    let mut memory = context.claims.lock().unwrap_or_else(PoisonError::into_inner);
    memory.forget_all_but(&context.caches.claims);
    memory.note(claim);
}

/// Names of the sandboxes that the claim has already, for a claim without a status: it is new,
/// or its status was lost.
pub(super) async fn owned(claim: &SandboxClaim, context: &Context) -> Result<Vec<String>, Error> {
    let api: Api<Sandbox> = Api::namespaced(context.client.clone(), &claim.namespace().unwrap_or_default());
    let of_name = ListParams::default().labels(&format!("{}={}", labels::CLAIM_NAME, claim.name_any()));
    let uid = claim.uid().unwrap_or_default();
    let found = api
        .list(&of_name)
        .await
        .map_err(|error| Error::Owned(Box::new(error)))?;
    let counts = |sandbox: &&Sandbox| {
        is_owned(sandbox, &uid)
            && sandbox.metadata.deletion_timestamp.is_none()
            && !sandbox.labels().contains_key(labels::RESERVED_FAILED)
    };
    Ok(found.iter().filter(counts).map(ResourceExt::name_any).collect())
}

/// Whether the sandbox was claimed by the SandboxClaim with this UID.
pub(super) fn is_owned(sandbox: &Sandbox, uid: &str) -> bool {
    annotations::owner(sandbox.annotations()) == Some(uid)
}

/// The pool. That it is missing is final, so the cache is not believed when it says so.
pub(super) async fn set(claim: &SandboxClaim, context: &Context) -> Result<Option<Arc<SandboxSet>>, Error> {
    let namespace = claim.namespace().unwrap_or_default();
    let name = &claim.spec.template_name;
    let cached = context.caches.sets.get(&ObjectRef::new(name).within(&namespace));
    if cached.is_some() {
        return Ok(cached);
    }
    let api: Api<SandboxSet> = Api::namespaced(context.client.clone(), &namespace);
    let found = api
        .get_opt(name)
        .await
        .map_err(|error| Error::Set(Box::new(error)))?;
    Ok(found.map(Arc::new))
}

/// Whether a daemon runs in the sandboxes of the pool; one whose template is missing does not tell.
pub(super) fn has_runtime(set: &SandboxSet, context: &Context) -> Option<bool> {
    let namespace = set.namespace().unwrap_or_default();
    let blueprint = template::resolve(&set.spec, |name| context.caches.template(&namespace, name));
    blueprint.ok().map(|blueprint| blueprint.has_runtime())
}

/// The sandboxes of the pool that can be claimed now.
pub(super) fn candidates(set: &SandboxSet, context: &Context) -> Vec<Candidate> {
    let (namespace, name) = (set.namespace(), set.name_any());
    let revision = set
        .status
        .as_ref()
        .and_then(|status| status.update_revision.as_ref());
    let members = context.caches.sandboxes.state_filter(|sandbox| {
        sandbox.metadata.namespace == namespace && sandbox.labels().get(labels::POOL) == Some(&name)
    });
    members
        .iter()
        .filter(|sandbox| is_available(Facts::from(&***sandbox)))
        .map(|sandbox| Candidate {
            name: sandbox.name_any(),
            is_current: sandbox.labels().get(labels::TEMPLATE_HASH) == revision,
        })
        .collect()
}
