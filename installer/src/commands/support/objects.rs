//! Lists objects of the installation, of users and of the cluster.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind},
};
use serde::Serialize;
use serde_json::{Value, json};
use silica_api::names;
use tokio::time::timeout;

use super::{
    collection::Collection,
    redact::{self, Origin},
};
use crate::cluster::reason;

/// Objects of a kind that are kept; more make an archive that nobody reads.
const MOST: u32 = 500;
/// A part that takes longer is missing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a kind is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// It has no namespaces.
    Cluster,
    /// The installation's namespace.
    Own,
    /// Every namespace: what users made.
    Everywhere,
}

/// A kind: group, version, kind, plural, where, and which of them.
struct Listed(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Place,
    &'static str,
);

const ALL: &str = "";
const OURS: &str = "app.kubernetes.io/managed-by=silica";
const PODS_OF_SANDBOXES: &str = "agents.kruise.io/created-by=sandbox";

const LISTED: &[Listed] = &[
    Listed("", "v1", "Node", "nodes", Place::Cluster, ALL),
    Listed(
        "networking.k8s.io",
        "v1",
        "IngressClass",
        "ingressclasses",
        Place::Cluster,
        ALL,
    ),
    Listed(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        Place::Cluster,
        OURS,
    ),
    Listed(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRole",
        "clusterroles",
        Place::Cluster,
        OURS,
    ),
    Listed(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        Place::Cluster,
        OURS,
    ),
    Listed("", "v1", "ConfigMap", "configmaps", Place::Own, ALL),
    Listed("", "v1", "Event", "events", Place::Own, ALL),
    Listed("", "v1", "LimitRange", "limitranges", Place::Own, ALL),
    Listed("", "v1", "Pod", "pods", Place::Own, ALL),
    Listed("", "v1", "ResourceQuota", "resourcequotas", Place::Own, ALL),
    Listed("", "v1", "Service", "services", Place::Own, ALL),
    Listed("", "v1", "ServiceAccount", "serviceaccounts", Place::Own, ALL),
    Listed("apps", "v1", "Deployment", "deployments", Place::Own, ALL),
    Listed("apps", "v1", "ReplicaSet", "replicasets", Place::Own, ALL),
    Listed("coordination.k8s.io", "v1", "Lease", "leases", Place::Own, ALL),
    Listed(
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
        "endpointslices",
        Place::Own,
        ALL,
    ),
    Listed(
        "gateway.networking.k8s.io",
        "v1",
        "Gateway",
        "gateways",
        Place::Own,
        ALL,
    ),
    Listed(
        "gateway.networking.k8s.io",
        "v1",
        "HTTPRoute",
        "httproutes",
        Place::Own,
        ALL,
    ),
    Listed("networking.k8s.io", "v1", "Ingress", "ingresses", Place::Own, ALL),
    Listed(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        Place::Own,
        ALL,
    ),
    Listed(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        Place::Own,
        ALL,
    ),
    Listed(
        names::GROUP,
        names::VERSION,
        "Sandbox",
        "sandboxes",
        Place::Everywhere,
        ALL,
    ),
    Listed(
        names::GROUP,
        names::VERSION,
        "SandboxClaim",
        "sandboxclaims",
        Place::Everywhere,
        ALL,
    ),
    Listed(
        names::GROUP,
        names::VERSION,
        "SandboxSet",
        "sandboxsets",
        Place::Everywhere,
        ALL,
    ),
    Listed(
        names::GROUP,
        names::VERSION,
        "SandboxTemplate",
        "sandboxtemplates",
        Place::Everywhere,
        ALL,
    ),
    Listed("", "v1", "Pod", "pods", Place::Everywhere, PODS_OF_SANDBOXES),
];

/// Everything but logs. Returns the pods of the installation.
pub(super) async fn collect(client: &Client, collection: &mut Collection) -> Vec<Pod> {
    let mut namespaces = BTreeSet::new();
    for listed in LISTED {
        let found = list(client, listed, collection).await;
        if listed.4 == Place::Everywhere {
            namespaces.extend(found.iter().filter_map(ResourceExt::namespace));
        }
        keep(collection, listed, &found);
    }
    list_secrets(client, collection).await;
    for namespace in namespaces.iter().filter(|name| *name != names::NAMESPACE) {
        list_warnings(client, namespace, collection).await;
    }
    list_pods(client, collection).await
}

async fn list(client: &Client, listed: &Listed, collection: &mut Collection) -> Vec<DynamicObject> {
    let Listed(group, version, kind, plural, place, selector) = listed;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = match place {
        Place::Own => Api::namespaced_with(client.clone(), names::NAMESPACE, &resource),
        Place::Cluster | Place::Everywhere => Api::all_with(client.clone(), &resource),
    };
    let params = ListParams::default().labels(selector).limit(MOST);
    read(&format!("{kind} objects"), &api, &params, collection).await
}

/// A kind that the cluster does not have has no objects, which is not missing.
async fn read<K>(what: &str, api: &Api<K>, params: &ListParams, collection: &mut Collection) -> Vec<K>
where
    K: Clone + serde::de::DeserializeOwned + core::fmt::Debug,
{
    let Some(list) = collection.take(what, answer(api.list(params)).await).flatten() else {
        return Vec::new();
    };
    if let Some(rest) = list.metadata.remaining_item_count.filter(|rest| *rest > 0) {
        collection.note_missing(format!("{what}: {rest} beyond the first {MOST}"));
    }
    list.items
}

/// Waits for the API server, but not for ever. `None` for what it does not have.
pub(super) async fn answer<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Option<T>, String> {
    match timeout(PATIENCE, request).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Ok(None),
        Ok(Err(error)) => Err(reason(&error)),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn keep(collection: &mut Collection, listed: &Listed, found: &[DynamicObject]) {
    let Listed(_, _, kind, _, place, _) = listed;
    let folder = match place {
        Place::Cluster => "cluster",
        Place::Own => names::NAMESPACE,
        Place::Everywhere => "everywhere",
    };
    let origin = match place {
        Place::Everywhere => Origin::Users,
        Place::Own | Place::Cluster => Origin::Installation,
    };
    write(
        collection,
        &format!("objects/{folder}/{kind}.json"),
        found,
        |value| {
            if *kind == "ConfigMap" {
                redact::config_map(value)
            } else {
                redact::object(value, origin)
            }
        },
    );
}

fn write<K: Serialize>(
    collection: &mut Collection,
    path: &str,
    found: &[K],
    redact: impl Fn(Value) -> Value,
) {
    if found.is_empty() {
        return;
    }
    let values: Result<Vec<Value>, _> = found.iter().map(serde_json::to_value).collect();
    if let Some(values) = collection.take(path, values) {
        let values: Vec<Value> = values.into_iter().map(redact).collect();
        collection.add_json(path, &json!(values));
    }
}

/// Names, labels and annotations; the values are not even asked for.
async fn list_secrets(client: &Client, collection: &mut Collection) {
    let api: Api<Secret> = Api::namespaced(client.clone(), names::NAMESPACE);
    let params = ListParams::default().limit(MOST);
    let listed = answer(api.list_metadata(&params)).await;
    if let Some(list) = collection.take("names of Secrets", listed).flatten() {
        let path = format!("objects/{}/Secret.json", names::NAMESPACE);
        write(collection, &path, &list.items, |value| {
            redact::object(value, Origin::Installation)
        });
    }
}

/// What went wrong where users' sandboxes are.
async fn list_warnings(client: &Client, namespace: &str, collection: &mut Collection) {
    let api: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields("type=Warning").limit(MOST);
    let found = read(&format!("warnings of {namespace}"), &api, &params, collection).await;
    let path = format!("objects/{namespace}/Event.json");
    write(collection, &path, &found, |value| {
        redact::object(value, Origin::Installation)
    });
}

async fn list_pods(client: &Client, collection: &mut Collection) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(client.clone(), names::NAMESPACE);
    read(
        "pods with logs",
        &api,
        &ListParams::default().limit(MOST),
        collection,
    )
    .await
}

#[cfg(test)]
mod tests {
    use silica_api::labels;

    use super::*;

    #[test]
    fn selectors_are_made_of_the_labels_that_objects_carry() {
        assert_eq!(OURS, format!("{}={}", labels::APP_MANAGED_BY, names::PRODUCT));
        assert_eq!(PODS_OF_SANDBOXES, format!("{}=sandbox", labels::CREATED_BY));
    }

    #[test]
    fn no_secret_is_listed_with_its_values() {
        assert!(LISTED.iter().all(|Listed(_, _, kind, ..)| *kind != "Secret"));
    }
}
