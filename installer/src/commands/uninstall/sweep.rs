//! The last look: whether anything in the cluster still carries the label of the product.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, PartialObjectMeta},
    core::{ApiResource, GroupVersionKind},
};
use silica_api::{labels, lock, names};
use tokio::time::{Instant, sleep};

use super::remove::Left;
use crate::{
    cluster::{CONCURRENCY, Cluster, Error, inventory::Entry, request},
    facts::is_ours,
};

/// Every kind of which the product makes objects: group, version, kind, plural.
const KINDS: [(&str, &str, &str, &str); 21] = [
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("", "v1", "Pod", "pods"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
    ("coordination.k8s.io", "v1", "Lease", "leases"),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    ),
    ("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    (names::GROUP, names::VERSION, "SandboxSet", "sandboxsets"),
    (names::GROUP, names::VERSION, "Sandbox", "sandboxes"),
    (
        names::GROUP,
        names::VERSION,
        "SandboxTemplate",
        "sandboxtemplates",
    ),
];
/// How long the cluster's garbage collector may take for what belonged to a removed object.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(500);

/// What is left, and where could not be looked.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Objects with the label, that nothing was to keep.
    pub(super) left: Vec<Left>,
    /// Kinds that this user may not list.
    pub(super) unseen: Vec<String>,
}

/// Looks until nothing is left, or the time is up.
pub(super) async fn sweep(
    cluster: &Cluster,
    kept: &BTreeSet<String>,
    deadline: Instant,
) -> Result<Swept, Error> {
    let deadline = deadline.min(Instant::now() + PATIENCE);
    loop {
        let swept = look(cluster, kept).await?;
        if swept.left.is_empty() || Instant::now() + PAUSE >= deadline {
            return Ok(swept);
        }
        sleep(PAUSE).await;
    }
}

async fn look(cluster: &Cluster, kept: &BTreeSet<String>) -> Result<Swept, Error> {
    let found = stream::iter(KINDS)
        .map(|(group, version, kind, plural)| async move {
            let gvk = GroupVersionKind::gvk(group, version, kind);
            list(cluster, ApiResource::from_gvk_with_plural(&gvk, plural)).await
        })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    let mut swept = Swept::default();
    for (kind, objects) in found {
        let Some(objects) = objects else {
            swept.unseen.push(kind.plural);
            continue;
        };
        for object in objects.into_iter().filter(|object| is_ours(&object.metadata)) {
            let entry = Entry {
                api_version: kind.api_version.clone(),
                kind: kind.kind.clone(),
                plural: kind.plural.clone(),
                namespace: object.namespace(),
                name: object.name_any(),
            };
            // The lock of this very run.
            let is_lock = entry.kind == "Lease" && entry.name == lock::LEASE;
            if !is_lock && !kept.contains(&entry.title()) {
                let why = reason(&object).into();
                swept.left.push(Left { entry, why });
            }
        }
    }
    Ok(swept)
}

/// The labelled objects of a kind in all namespaces; `None` when the user may not list them.
async fn list(
    cluster: &Cluster,
    kind: ApiResource,
) -> Result<(ApiResource, Option<Vec<PartialObjectMeta<DynamicObject>>>), Error> {
    let ours = ListParams::default().labels(&format!("{}={}", labels::APP_MANAGED_BY, names::PRODUCT));
    let listed = cluster.objects(&kind, None).list_metadata(&ours).await;
    match listed {
        Ok(list) => Ok((kind, Some(list.items))),
        // Without its definition, a kind has no objects.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok((kind, Some(Vec::new()))),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok((kind, None)),
        Err(error) => {
            let title = kind.plural.clone();
            Err(request("list", title)(error))
        }
    }
}

fn reason(object: &PartialObjectMeta<DynamicObject>) -> &'static str {
    if object.metadata.deletion_timestamp.is_some() {
        "it is being deleted, and something holds it"
    } else if object.metadata.owner_references.iter().flatten().next().is_some() {
        "the cluster's garbage collector has not removed it yet"
    } else {
        "it carries the label of silica, and no inventory lists it"
    }
}
