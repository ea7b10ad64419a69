//! What somebody else keeps in the namespace of the installation.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, PartialObjectMeta},
    core::{ApiResource, ObjectMeta},
    discovery::{Discovery, Scope, verbs},
};
use silica_api::{labels, lock, names};
use silica_certs::inspect;

use super::is_ours;
use crate::cluster::{CONCURRENCY, Cluster, Error, inventory::Entry, request};
use silica_api::names::TLS_CERTIFICATE;

/// Kinds that the cluster makes of other objects, and of which nothing is lost.
const DERIVED: [&str; 3] = ["Event", "Endpoints", "EndpointSlice"];
/// What every namespace has from birth: kind and name.
const FROM_BIRTH: [(&str, &str); 4] = [
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
    ("ConfigMap", "istio-ca-root-cert"),
    ("ServiceAccount", "default"),
];

/// What a command takes and gives back, whatever it has written on it: kind and name.
const BORROWED: (&str, &str) = ("Lease", lock::LEASE);

/// Objects of others, and kinds that may hide some.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Strangers {
    /// `Kind name`.
    pub objects: Vec<String>,
    /// Kinds that this user may not list, or that nobody can list now.
    pub unseen: Vec<String>,
}

impl Strangers {
    /// Why the namespace has to stay; `None` when nothing speaks for it.
    pub fn reason(&self) -> Option<String> {
        let mut parts = Vec::new();
        if !self.objects.is_empty() {
            parts.push(format!("it holds {}", self.objects.join(", ")));
        }
        if !self.unseen.is_empty() {
            let unseen = self.unseen.join(", ");
            parts.push(format!("it may hold objects that cannot be listed ({unseen})"));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Looks at every kind that the server has, but for what `goes` anyway.
pub(crate) async fn read(cluster: &Cluster, goes: &BTreeSet<Entry>) -> Result<Strangers, Error> {
    let discovered = Discovery::new(cluster.client.clone()).run_aggregated().await;
    let discovered = discovered.map_err(request("list the kinds of", &cluster.server))?;
    let kinds: Vec<ApiResource> = discovered
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources)
        // What cannot be deleted holds nothing of its own.
        .filter(|(kind, capabilities)| {
            capabilities.scope == Scope::Namespaced
                && capabilities.supports_operation(verbs::LIST)
                && capabilities.supports_operation(verbs::DELETE)
                && !DERIVED.contains(&kind.kind.as_str())
        })
        .map(|(kind, _)| kind)
        .collect();
    let found = stream::iter(kinds)
        .map(|kind| async move { list(cluster, kind).await })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    let mut strangers = Strangers::default();
    for (kind, objects) in found {
        let Some(objects) = objects else {
            strangers.unseen.push(kind.plural);
            continue;
        };
        for object in objects {
            let name = object.name_any();
            let is_known = goes.iter().any(|entry| {
                entry.kind == kind.kind
                    && entry.name == name
                    && entry.namespace.as_deref() == Some(names::NAMESPACE)
            });
            if is_known || !is_somebodys(&kind.kind, &object.metadata) {
                continue;
            }
            if kind.kind == "Secret" && name == names::TLS_SECRET && was_ordered(cluster).await? {
                continue;
            }
            strangers.objects.push(format!("{} {name}", kind.kind));
        }
    }
    Ok(strangers)
}

/// The objects of one kind; `None` when they cannot be listed.
async fn list(
    cluster: &Cluster,
    kind: ApiResource,
) -> Result<(ApiResource, Option<Vec<PartialObjectMeta<DynamicObject>>>), Error> {
    let api = cluster.objects(&kind, Some(names::NAMESPACE));
    match api.list_metadata(&ListParams::default()).await {
        Ok(list) => Ok((kind, Some(list.items))),
        // The kind is gone by now, or its API has no list after all.
        Err(kube::Error::Api(status)) if [404, 405].contains(&status.code) => Ok((kind, Some(Vec::new()))),
        Err(kube::Error::Api(_)) => Ok((kind, None)),
        Err(error) => {
            let title = format!("the {} in Namespace {}", kind.plural, names::NAMESPACE);
            Err(request("list", title)(error))
        }
    }
}

/// Whether an object was put there by somebody else: what belongs to another object goes
/// and stays with that.
fn is_somebodys(kind: &str, meta: &ObjectMeta) -> bool {
    let name = meta.name.as_deref().unwrap_or_default();
    !is_ours(meta)
        && meta.owner_references.iter().flatten().next().is_none()
        && !FROM_BIRTH.contains(&(kind, name))
        && BORROWED != (kind, name)
        && !is_token(kind, meta)
}

/// Whether a Secret is the token of a service account, which goes with that.
fn is_token(kind: &str, meta: &ObjectMeta) -> bool {
    let annotations = meta.annotations.as_ref();
    kind == "Secret" && annotations.is_some_and(|map| map.contains_key("kubernetes.io/service-account.name"))
}

/// Whether the served certificate is one that silica has ordered: its Secret carries no
/// label of ours, but the mark of the order.
async fn was_ordered(cluster: &Cluster) -> Result<bool, Error> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let title = format!("Secret {}/{}", names::NAMESPACE, names::TLS_SECRET);
    let secret = api
        .get_opt(names::TLS_SECRET)
        .await
        .map_err(request("read", title))?;
    Ok(secret.is_some_and(|secret| bears_mark(&secret)))
}

fn bears_mark(secret: &Secret) -> bool {
    let mark = secret.annotations().get(labels::ACME_FINGERPRINT);
    let chain = secret
        .data
        .as_ref()
        .and_then(|data| data.get(TLS_CERTIFICATE))
        .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
        .and_then(|pem| inspect::parse_chain(pem).ok());
    let first = chain.as_ref().and_then(|chain| chain.first());
    first.is_some_and(|first| Some(&first.fingerprint) == mark)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meta(value: serde_json::Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_somebody_put_there_is_told_from_what_came_by_itself() {
        for (kind, value, expected) in [
            ("Secret", json!({"name": names::TLS_SECRET}), true),
            ("PersistentVolumeClaim", json!({"name": "data"}), true),
            ("ConfigMap", json!({"name": "kube-root-ca.crt"}), false),
            ("ServiceAccount", json!({"name": "default"}), false),
            ("Lease", json!({"name": lock::LEASE}), false),
            ("Lease", json!({"name": "leader"}), true),
            (
                "Secret",
                json!({"name": "t", "annotations": {"kubernetes.io/service-account.name": "default"}}),
                false,
            ),
            (
                "Pod",
                json!({"name": "p", "ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "a", "uid": "u"}]}),
                false,
            ),
            (
                "Secret",
                json!({"name": "s", "labels": {labels::APP_MANAGED_BY: names::PRODUCT}}),
                false,
            ),
        ] {
            assert_eq!(is_somebodys(kind, &meta(value.clone())), expected, "{value}");
        }
    }

    #[test]
    fn a_namespace_stays_for_what_it_holds_and_for_what_cannot_be_seen() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.reason(), None);
        strangers.unseen.push("widgets".into());
        assert!(strangers.reason().unwrap().contains("widgets"));
        strangers.objects.push("Secret a".into());
        assert!(strangers.reason().unwrap().starts_with("it holds Secret a;"));
    }
}
