//! Finds the pod of a Sandbox.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use silica_api::crd::Sandbox;

use super::image;
use crate::{context::Context, orphan::is_owned_by};

/// Why the pod could not be looked up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read the pod")]
    Read(#[source] Box<kube::Error>),
}

/// What stands under the name of the Sandbox's pod.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// No pod.
    Absent,
    /// The pod of this Sandbox.
    Own(Arc<Pod>),
    /// A pod that somebody else made.
    Foreign {
        /// Who controls it, for people.
        owner: String,
    },
}

impl Seen {
    /// Classifies a pod by its controller.
    pub(crate) fn from_pod(pod: Arc<Pod>, sandbox_uid: &str) -> Self {
        if is_owned_by(&pod, sandbox_uid) {
            return Self::Own(pod);
        }
        let owner = pod
            .owner_references()
            .iter()
            .find(|owner| owner.controller == Some(true))
            .map_or_else(
                || "nobody".to_owned(),
                |owner| format!("{} {:?} ({})", owner.kind, owner.name, owner.uid),
            );
        Self::Foreign { owner }
    }
}

/// The pod by the cache. The cache may be behind, and a pod that vanished is a
/// verdict of death, so the API server is asked before a recorded pod counts as
/// gone, and while an image is pending: the cache does not keep images.
pub(crate) async fn pod(sandbox: &Sandbox, context: &Context) -> Result<Seen, Error> {
    let (namespace, name) = (sandbox.namespace().unwrap_or_default(), sandbox.name_any());
    let uid = sandbox.uid().unwrap_or_default();
    if let Some(pod) = context.caches.pod(&namespace, &name) {
        if image::pending(sandbox).is_some() {
            return read(context, &namespace, &name, &uid).await;
        }
        return Ok(Seen::from_pod(pod, &uid));
    }
    let recorded = sandbox
        .status
        .as_ref()
        .and_then(|status| status.pod_info.as_ref())
        .is_some();
    if !recorded {
        return Ok(Seen::Absent);
    }
    read(context, &namespace, &name, &uid).await
}

/// The pod by the API server.
pub(crate) async fn read(context: &Context, namespace: &str, name: &str, uid: &str) -> Result<Seen, Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let pod = api
        .get_opt(name)
        .await
        .map_err(|error| Error::Read(Box::new(error)))?;
    Ok(pod.map_or(Seen::Absent, |pod| Seen::from_pod(Arc::new(pod), uid)))
}
