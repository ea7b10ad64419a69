//! Waits, by watching, until what was applied stands; and says what it is
//! waiting for, and why it does not come.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Pod, Service},
        networking::v1::Ingress,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DynamicObject, ListParams},
    runtime::{WatchStreamExt, watcher::watch_object},
};
use serde::de::DeserializeOwned;
use silica_api::{
    crd::{Sandbox, SandboxSet},
    labels,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    cluster::{self, Cluster, reason},
    inventory::Entry,
    report::Printer,
};

/// How often the reasons of a slow start are read again.
const REASONS_EVERY: Duration = Duration::from_secs(3);

/// Why waiting ended without success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The time is up.
    #[error("timed out while waiting for {object}: {why}")]
    Timeout { object: String, why: String },
    /// The watch broke for good.
    #[error("failed to watch {object}: {why}")]
    Watch { object: String, why: String },
    /// The server says that it will never come.
    #[error("{object} cannot become ready: {why}")]
    Never { object: String, why: String },
    /// A request failed.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
}

/// What a look at an object says.
enum Look {
    Ready,
    NotYet(String),
    Never(String),
}

/// Watches one object until `look` is content. `explain` is asked for better
/// reasons whenever nothing happens for a while.
async fn until<K, E>(
    api: Api<K>,
    name: &str,
    title: String,
    deadline: Instant,
    look: impl Fn(Option<&K>) -> Look,
    explain: impl Fn() -> E,
    printer: &Printer,
) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    E: Future<Output = Option<String>>,
{
    let mut events = std::pin::pin!(watch_object(api, name).default_backoff());
    let mut why = "nothing is known of it".to_owned();
    loop {
        if Instant::now() >= deadline {
            return Err(Error::Timeout { object: title, why });
        }
        let patience = (Instant::now() + REASONS_EVERY).min(deadline);
        match timeout_at(patience, events.next()).await {
            Ok(Some(Ok(object))) => match look(object.as_ref()) {
                Look::Ready => return Ok(()),
                Look::Never(why) => return Err(Error::Never { object: title, why }),
                Look::NotYet(seen) => why = seen,
            },
            // The watcher tries again by itself, more and more slowly.
            Ok(Some(Err(error))) => why = reason(&error),
            Ok(None) => {
                return Err(Error::Watch {
                    object: title,
                    why: "the watch ended".into(),
                });
            }
            Err(_) => {
                if let Some(better) = explain().await {
                    why = better;
                }
            }
        }
        printer.note(&format!("{title}: {why}"));
    }
}

async fn nothing_more() -> Option<String> {
    None
}

/// Waits until the API server serves the definitions.
pub async fn definitions(
    cluster: &Cluster,
    names: &[String],
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error> {
    stream::iter(names)
        .map(|name| {
            let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
            let title = format!("CustomResourceDefinition {name}");
            until(api, name, title, deadline, look_definition, nothing_more, printer)
        })
        .buffer_unordered(8)
        .try_collect()
        .await
}

fn look_definition(definition: Option<&CustomResourceDefinition>) -> Look {
    let Some(definition) = definition else {
        return Look::NotYet("it does not exist".into());
    };
    let conditions = definition
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let find = |kind: &str| {
        conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == kind)
    };
    match (find("NamesAccepted"), find("Established")) {
        (Some(names), _) if names.status == "False" => Look::Never(
            names
                .message
                .clone()
                .unwrap_or_else(|| "its names are taken".into()),
        ),
        (Some(names), Some(established)) if names.status == "True" && established.status == "True" => {
            Look::Ready
        }
        _ => Look::NotYet("it is not established yet".into()),
    }
}

/// Waits until a Deployment runs its newest pods, all of them available.
pub async fn rollout(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error> {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    let title = format!("Deployment {namespace}/{name}");
    let selector = format!("{}={name}", labels::APP_NAME);
    let explain = || pod_trouble(cluster, namespace, &selector);
    until(api, name, title, deadline, look_deployment, explain, printer).await
}

fn look_deployment(deployment: Option<&Deployment>) -> Look {
    let Some(deployment) = deployment else {
        return Look::NotYet("it does not exist".into());
    };
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let Some(status) = &deployment.status else {
        return Look::NotYet("it was not seen by its controller yet".into());
    };
    if status.observed_generation < deployment.metadata.generation {
        return Look::NotYet("its newest version was not seen yet".into());
    }
    let count = |number: Option<i32>| number.unwrap_or(0);
    let (updated, available, total) = (
        count(status.updated_replicas),
        count(status.available_replicas),
        count(status.replicas),
    );
    if updated >= wanted && available >= wanted && total == updated {
        return Look::Ready;
    }
    Look::NotYet(format!(
        "{available} of {wanted} pods are available, {updated} of them new"
    ))
}

/// Waits until a pool has a sandbox to give.
pub async fn pool(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error> {
    let api: Api<SandboxSet> = Api::namespaced(cluster.client.clone(), namespace);
    let title = format!("SandboxSet {namespace}/{name}");
    let look = |set: Option<&SandboxSet>| {
        let available = set
            .and_then(|set| set.status.as_ref())
            .map_or(0, |status| status.available_replicas);
        if available > 0 {
            Look::Ready
        } else {
            Look::NotYet("no sandbox is available yet".into())
        }
    };
    let explain = || pool_trouble(cluster, namespace, name);
    until(api, name, title, deadline, look, explain, printer).await
}

/// Waits until the Ingress has an address.
pub async fn ingress_address(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error> {
    let api: Api<Ingress> = Api::namespaced(cluster.client.clone(), namespace);
    let look = |ingress: Option<&Ingress>| {
        let status = ingress
            .and_then(|ingress| ingress.status.as_ref())
            .and_then(|status| status.load_balancer.as_ref());
        let found = status
            .and_then(|status| status.ingress.as_ref())
            .is_some_and(|list| !list.is_empty());
        if found {
            Look::Ready
        } else {
            Look::NotYet("its controller has not given it an address yet".into())
        }
    };
    let title = format!("Ingress {namespace}/{name}");
    until(api, name, title, deadline, look, nothing_more, printer).await
}

/// Waits until the load balancer of a Service has an address.
pub async fn service_address(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error> {
    let api: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
    let look = |service: Option<&Service>| {
        let status = service
            .and_then(|service| service.status.as_ref())
            .and_then(|status| status.load_balancer.as_ref());
        let found = status
            .and_then(|status| status.ingress.as_ref())
            .is_some_and(|list| !list.is_empty());
        if found {
            Look::Ready
        } else {
            Look::NotYet("the cloud has not given it an address yet".into())
        }
    };
    let title = format!("Service {namespace}/{name}");
    until(api, name, title, deadline, look, nothing_more, printer).await
}

/// Waits until an object is gone.
pub async fn gone(
    cluster: &Cluster,
    entry: &Entry,
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error> {
    let api = cluster.objects(&entry.resource(), entry.namespace.as_deref());
    // Of a kind that is gone itself, nothing can be watched.
    let found = api.get_metadata_opt(&entry.name).await;
    if found.map_err(cluster::request("read", entry.title()))?.is_none() {
        return Ok(());
    }
    let look = |object: Option<&DynamicObject>| match object {
        None => Look::Ready,
        Some(object) if object.finalizers().is_empty() => Look::NotYet("it still exists".into()),
        Some(object) => Look::NotYet(format!(
            "it is held by its finalizers {}",
            object.finalizers().join(", ")
        )),
    };
    until(
        api,
        &entry.name,
        entry.title(),
        deadline,
        look,
        nothing_more,
        printer,
    )
    .await
}

/// Why the sandboxes of a pool are not ready, as their controller tells it.
async fn pool_trouble(cluster: &Cluster, namespace: &str, pool: &str) -> Option<String> {
    let api: Api<Sandbox> = Api::namespaced(cluster.client.clone(), namespace);
    let selector = format!("{}={pool}", labels::POOL);
    let sandboxes = api.list(&ListParams::default().labels(&selector)).await.ok()?;
    let messages = sandboxes
        .into_iter()
        .filter_map(|sandbox| sandbox.status?.message);
    most_frequent(messages.map(|message| shortened(&message)), "sandboxes")
}

/// The most telling reason why pods do not run.
async fn pod_trouble(cluster: &Cluster, namespace: &str, selector: &str) -> Option<String> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let pods = api.list(&ListParams::default().labels(selector)).await.ok()?;
    most_frequent(pods.iter().filter_map(trouble), "pods")
}

/// The reason that most objects have, with their number.
fn most_frequent(reasons: impl Iterator<Item = String>, what: &str) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let (text, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some(if count > 1 {
        format!("{text} ({count} {what})")
    } else {
        text
    })
}

/// Why this pod does not run, in Kubernetes' own words.
fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|one| one.type_ == "PodScheduled" && one.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!(
            "cannot be scheduled: {}",
            condition.message.as_deref().unwrap_or("no reason given")
        ));
    }
    let containers = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten());
    for container in containers {
        let Some(state) = &container.state else { continue };
        if let Some(waiting) = &state.waiting {
            let reason = waiting.reason.as_deref().unwrap_or("waiting");
            if ["ContainerCreating", "PodInitializing"].contains(&reason) {
                continue;
            }
            let ended = container
                .last_state
                .as_ref()
                .and_then(|last| last.terminated.as_ref());
            let exit = ended
                .map(|ended| format!(", exit code {}", ended.exit_code))
                .unwrap_or_default();
            let message = waiting.message.as_deref().unwrap_or_default();
            let text = format!("container {}: {reason}{exit} {message}", container.name);
            return Some(shortened(text.trim()));
        }
        if let Some(ended) = state.terminated.as_ref().filter(|ended| ended.exit_code != 0) {
            return Some(format!(
                "container {} ended with exit code {}",
                container.name, ended.exit_code
            ));
        }
    }
    None
}

/// Messages of image pulls repeat themselves; their start tells the image, their
/// end the cause.
fn shortened(text: &str) -> String {
    const MAX: usize = 240;
    const PART: usize = 110;
    let count = text.chars().count();
    if count <= MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(PART).collect();
    let end: String = text.chars().skip(count - PART).collect();
    format!("{start} ... {end}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status})).unwrap()
    }

    #[test]
    fn trouble_is_named_in_the_words_of_kubernetes() {
        let waiting = |reason: &str| {
            json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": "not found"}}}]})
        };
        assert_eq!(
            trouble(&pod(&waiting("ImagePullBackOff"))).unwrap(),
            "container c: ImagePullBackOff not found"
        );
        assert_eq!(trouble(&pod(&waiting("ContainerCreating"))), None);
        let pending =
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]});
        assert_eq!(trouble(&pod(&pending)).unwrap(), "cannot be scheduled: 0/1 nodes");
    }

    #[test]
    fn the_most_frequent_reason_is_told_with_its_number() {
        let reasons = |texts: &[&str]| most_frequent(texts.iter().map(|text| (*text).to_owned()), "pods");
        assert_eq!(reasons(&["a", "b", "b"]).unwrap(), "b (2 pods)");
        assert_eq!(reasons(&["a"]).unwrap(), "a");
        assert_eq!(reasons(&[]), None);
    }

    #[test]
    fn long_messages_keep_their_start_and_their_end() {
        let text = format!("image{}cause", "x".repeat(500));
        let short = shortened(&text);
        assert!(short.starts_with("image") && short.ends_with("cause") && short.len() < 250);
    }

    #[test]
    fn a_rollout_is_done_only_when_no_old_pod_is_left() {
        let deployment = |generation: i64, updated: i32, total: i32, available: i32| -> Deployment {
            serde_json::from_value(json!({"metadata": {"generation": generation},
                "spec": {"replicas": 2, "selector": {}, "template": {}},
                "status": {"observedGeneration": 2, "updatedReplicas": updated, "replicas": total, "availableReplicas": available}}))
            .unwrap()
        };
        assert!(matches!(
            look_deployment(Some(&deployment(2, 2, 2, 2))),
            Look::Ready
        ));
        for not_yet in [
            deployment(3, 2, 2, 2),
            deployment(2, 2, 3, 3),
            deployment(2, 1, 2, 2),
            deployment(2, 2, 2, 1),
        ] {
            assert!(matches!(look_deployment(Some(&not_yet)), Look::NotYet(_)));
        }
    }

    #[test]
    fn a_definition_with_taken_names_never_becomes_ready() {
        let definition = |names: &str, established: &str| -> CustomResourceDefinition {
            serde_json::from_value(json!({"metadata": {"name": "a"},
                "spec": {"group": "g", "names": {"kind": "K", "plural": "ks"}, "scope": "Namespaced", "versions": []},
                "status": {"conditions": [{"type": "NamesAccepted", "status": names, "message": "taken"},
                    {"type": "Established", "status": established}]}}))
            .unwrap()
        };
        assert!(matches!(
            look_definition(Some(&definition("True", "True"))),
            Look::Ready
        ));
        assert!(matches!(
            look_definition(Some(&definition("True", "False"))),
            Look::NotYet(_)
        ));
        assert!(matches!(
            look_definition(Some(&definition("False", "False"))),
            Look::Never(_)
        ));
    }
}
