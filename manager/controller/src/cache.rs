//! The controller's view of the cluster: one watch-fed store per kind.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
use silica_api::crd::{Sandbox, SandboxClaim, SandboxSet, SandboxTemplate};

/// Read side of the stores; cheap to clone.
#[derive(Clone)]
pub(crate) struct Caches {
    pub(crate) sandboxes: Store<Sandbox>,
    pub(crate) sets: Store<SandboxSet>,
    pub(crate) claims: Store<SandboxClaim>,
    pub(crate) templates: Store<SandboxTemplate>,
    /// Pods made for Sandboxes, reduced by [`crate::watch`] to what is needed.
    pub(crate) pods: Store<Pod>,
}

/// Write side of the stores.
pub(crate) struct Writers {
    pub(crate) sandboxes: Writer<Sandbox>,
    pub(crate) sets: Writer<SandboxSet>,
    pub(crate) claims: Writer<SandboxClaim>,
    pub(crate) templates: Writer<SandboxTemplate>,
    pub(crate) pods: Writer<Pod>,
}

impl Caches {
    pub(crate) fn new() -> (Self, Writers) {
        let (sandboxes, sandbox_writer) = reflector::store();
        let (sets, set_writer) = reflector::store();
        let (claims, claim_writer) = reflector::store();
        let (templates, template_writer) = reflector::store();
        let (pods, pod_writer) = reflector::store();
        (
            Self {
                sandboxes,
                sets,
                claims,
                templates,
                pods,
            },
            Writers {
                sandboxes: sandbox_writer,
                sets: set_writer,
                claims: claim_writer,
                templates: template_writer,
                pods: pod_writer,
            },
        )
    }

    /// Waits for the first full list of every kind.
    pub(crate) async fn wait_until_ready(&self) {
        // A dropped writer means that the process is about to end.
        let _ = futures::join!(
            self.sandboxes.wait_until_ready(),
            self.sets.wait_until_ready(),
            self.claims.wait_until_ready(),
            self.templates.wait_until_ready(),
            self.pods.wait_until_ready(),
        );
    }

    pub(crate) fn template(&self, namespace: &str, name: &str) -> Option<Arc<SandboxTemplate>> {
        self.templates.get(&ObjectRef::new(name).within(namespace))
    }

    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.pods.get(&ObjectRef::new(name).within(namespace))
    }
}
