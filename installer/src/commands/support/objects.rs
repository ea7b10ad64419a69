//! Lists objects of the installation, of users and of the cluster.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde::Serialize;
use serde_json::{Value, json};
use silica_api::names;
use tokio::time::timeout;

use super::{
    collection::Collection,
    listed::{self, Listed, Place},
    redact::{self, Origin},
};
use crate::cluster::{found, reason};

/// Objects of a kind that are kept; more make an archive that nobody reads.
const MOST: u32 = 500;
/// A part that takes longer is missing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything but logs. Returns the pods of the installation.
pub(super) async fn collect(client: &Client, collection: &mut Collection) -> Vec<Pod> {
    let (mut namespaces, mut pods) = (BTreeSet::new(), Vec::new());
    for listed in &listed::ALL {
        let found = list(client, listed, collection).await;
        if listed.place == Place::Everywhere {
            namespaces.extend(found.iter().filter_map(ResourceExt::namespace));
        }
        keep(collection, listed, &found);
        if (listed.place, listed.kind) == (Place::Own, "Pod") {
            let parsed: Result<Vec<Pod>, _> = found.into_iter().map(DynamicObject::try_parse).collect();
            pods = collection.take("pods with logs", parsed).unwrap_or_default();
        }
    }
    list_secrets(client, collection).await;
    for namespace in namespaces.iter().filter(|name| *name != names::NAMESPACE) {
        list_warnings(client, namespace, collection).await;
    }
    pods
}

async fn list(client: &Client, listed: &Listed, collection: &mut Collection) -> Vec<DynamicObject> {
    let resource = listed.resource();
    let api: Api<DynamicObject> = match listed.place {
        Place::Own => Api::namespaced_with(client.clone(), names::NAMESPACE, &resource),
        Place::Cluster | Place::Everywhere => Api::all_with(client.clone(), &resource),
    };
    let params = ListParams::default().labels(listed.labels).limit(MOST);
    read(&format!("{} objects", listed.kind), &api, &params, collection).await
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

/// Waits for the API server, but not forever. `None` for what it does not have.
pub(super) async fn answer<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Option<T>, String> {
    match timeout(PATIENCE, request).await {
        Ok(answer) => found(answer).map_err(|error| reason(&error)),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn keep(collection: &mut Collection, listed: &Listed, found: &[DynamicObject]) {
    let (folder, origin) = match listed.place {
        Place::Cluster => ("cluster", Origin::Installation),
        Place::Own => (names::NAMESPACE, Origin::Installation),
        Place::Everywhere => ("everywhere", Origin::Users),
    };
    let path = format!("objects/{folder}/{}.json", listed.kind);
    write(collection, &path, found, |value| {
        if listed.kind == "ConfigMap" {
            redact::config_map(value)
        } else {
            redact::object(value, origin)
        }
    });
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
