//! Deletes the pod of a deleted Sandbox at once.
//!
//! The garbage collector of Kubernetes does the same by the owner reference,
//! but on a busy cluster it can be minutes behind.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Preconditions},
};

use crate::{context::Context, queue::Orphan};

/// Deletions that may run at a time.
const CONCURRENCY: usize = 16;

pub(crate) async fn run(context: Arc<Context>, queue: impl Stream<Item = Orphan>) {
    queue
        .for_each_concurrent(CONCURRENCY, |orphan| remove(&context, orphan))
        .await;
}

async fn remove(context: &Context, orphan: Orphan) {
    let Some(pod) = context.caches.pod(&orphan.namespace, &orphan.name) else {
        return;
    };
    if !is_owned_by(&pod, &orphan.owner) || pod.metadata.deletion_timestamp.is_some() {
        return;
    }
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &orphan.namespace);
    let exactly_this = Preconditions {
        uid: pod.uid(),
        resource_version: None,
    };
    let parameters = DeleteParams::default().preconditions(exactly_this);
    if let Err(error) = api.delete(&orphan.name, &parameters).await
        && !matches!(&error, kube::Error::Api(status) if status.is_not_found() || status.is_conflict())
    {
        tracing::debug!(pod = orphan.name, %error, "failed to delete the pod of a deleted Sandbox");
    }
}

/// Whether the Sandbox with UID `owner` controls the pod.
pub(crate) fn is_owned_by(pod: &Pod, owner: &str) -> bool {
    pod.owner_references()
        .iter()
        .any(|reference| reference.controller == Some(true) && reference.uid == owner)
}
