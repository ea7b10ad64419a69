//! Waits, by watching, until what was applied stands; and says what it is
//! waiting for, and why it does not come.

mod deployment;
mod trouble;

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::apps::v1::Deployment,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Resource, ResourceExt,
    api::DynamicObject,
    core::ApiResource,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use serde::de::DeserializeOwned;
use silica_api::{crd::SandboxSet, labels, names};
use silica_manifests::gateway::gateway_resource;
use tokio::time::{Instant, timeout_at};

use self::{deployment::look_deployment, trouble::Trouble};
use crate::{
    cli::report::Printer,
    cluster::{self, Cluster, inventory::Entry, reason},
    exposure::gateway,
};

/// How often the reasons of a slow start are read again.
const REASONS_EVERY: Duration = Duration::from_secs(3);
/// How long something that does not get better by itself is waited for all the same: a
/// quota has room again when an old pod has ended, and conditions may be those of before.
const FAILING_FOR: Duration = Duration::from_secs(20);

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
#[derive(Debug, Eq, PartialEq)]
enum Look {
    Ready,
    NotYet(String),
    /// Nothing gets better by itself, unless somebody or something else changes it.
    Failing(String),
    Never(String),
}

/// How long something has been failing.
#[derive(Default)]
struct Failing(Option<Instant>);

impl Failing {
    /// Whether it has failed for so long, without a break, that waiting is of no use.
    fn is_over(&mut self, is_failing: bool, now: Instant) -> bool {
        if !is_failing {
            self.0 = None;
            return false;
        }
        now - *self.0.get_or_insert(now) >= FAILING_FOR
    }
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
    E: Future<Output = Option<Trouble>>,
{
    let mut events = std::pin::pin!(watch_object(api, name).default_backoff());
    let mut why = "its state is unknown".to_owned();
    let mut trouble: Option<Trouble> = None;
    let mut looks_bad = false;
    let mut failing = Failing::default();
    loop {
        let now = Instant::now();
        if now >= deadline {
            return Err(Error::Timeout { object: title, why });
        }
        let is_permanent = trouble.as_ref().is_some_and(|trouble| trouble.is_permanent);
        if failing.is_over(looks_bad || is_permanent, now) {
            return Err(Error::Never { object: title, why });
        }
        let patience = (now + REASONS_EVERY).min(deadline);
        match timeout_at(patience, events.next()).await {
            Ok(Some(Ok(object))) => {
                let seen = look(object.as_ref());
                looks_bad = matches!(seen, Look::Failing(_));
                match seen {
                    Look::Ready => return Ok(()),
                    Look::Never(why) => return Err(Error::Never { object: title, why }),
                    Look::NotYet(seen) | Look::Failing(seen) => why = seen,
                }
            }
            // The watcher tries again by itself, more and more slowly.
            Ok(Some(Err(error))) => why = reason(&error),
            Ok(None) => {
                return Err(Error::Watch {
                    object: title,
                    why: "the watch ended".into(),
                });
            }
            Err(_) => {
                trouble = explain().await;
                // What pods say is of no use when there are none.
                if let Some(better) = trouble.as_ref().filter(|_| !looks_bad) {
                    why.clone_from(&better.why);
                }
            }
        }
        printer.note(&format!("{title}: {why}"));
    }
}

async fn nothing_more() -> Option<Trouble> {
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
    let explain = || trouble::of_pods(cluster, namespace, &selector);
    until(api, name, title, deadline, look_deployment, explain, printer).await
}

/// Why pods of a Deployment do not run; `None` when nothing speaks against them.
pub async fn trouble_of(cluster: &Cluster, namespace: &str, name: &str) -> Option<String> {
    let selector = format!("{}={name}", labels::APP_NAME);
    let trouble = trouble::of_pods(cluster, namespace, &selector).await;
    trouble.map(|trouble| trouble.why)
}

/// Why the sandboxes of a pool do not become ready.
pub async fn trouble_of_pool(cluster: &Cluster, namespace: &str, name: &str) -> Option<String> {
    let trouble = trouble::of_pool(cluster, namespace, name).await;
    trouble.map(|trouble| trouble.why)
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
    let explain = || trouble::of_pool(cluster, namespace, name);
    until(api, name, title, deadline, look, explain, printer).await
}

/// Waits until a Service or an Ingress has an address, which `giver` gives it.
pub async fn balanced_address<K>(
    cluster: &Cluster,
    name: &str,
    giver: &str,
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    let api = cluster.objects(&ApiResource::erase::<K>(&()), Some(names::NAMESPACE));
    let look = |object: Option<&DynamicObject>| {
        let given = object.and_then(|object| object.data["status"]["loadBalancer"]["ingress"].as_array());
        if given.is_some_and(|points| !points.is_empty()) {
            Look::Ready
        } else {
            Look::NotYet(format!("{giver} has not assigned an address yet"))
        }
    };
    let title = format!("{} {}/{name}", K::kind(&()), names::NAMESPACE);
    until(api, name, title, deadline, look, nothing_more, printer).await
}

/// Waits until a Gateway has an address.
pub async fn gateway_address(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error> {
    let api = cluster.objects(&gateway_resource(), Some(namespace));
    let look = |gateway: Option<&DynamicObject>| {
        let Some(gateway) = gateway else {
            return Look::NotYet("it does not exist".into());
        };
        if !gateway::addresses(&gateway.data).is_empty() {
            return Look::Ready;
        }
        let unmet = gateway::unmet(
            "it",
            &gateway.data["status"]["conditions"],
            &["Accepted", "Programmed"],
        );
        Look::NotYet(
            unmet
                .into_iter()
                .next()
                .unwrap_or_else(|| "its controller has not assigned an address yet".into()),
        )
    };
    let title = format!("Gateway {namespace}/{name}");
    until(api, name, title, deadline, look, nothing_more, printer).await
}

/// Why an object that is deleted is still there. Of a namespace its conditions tell.
fn held_by(object: &DynamicObject) -> String {
    if !object.finalizers().is_empty() {
        return format!("it is held by its finalizers {}", object.finalizers().join(", "));
    }
    let conditions = object.data["status"]["conditions"].as_array();
    let remaining: Vec<&str> = conditions
        .into_iter()
        .flatten()
        .filter(|condition| {
            let kind = condition["type"].as_str().unwrap_or_default();
            condition["status"] == "True" && kind.starts_with("Namespace")
        })
        .filter_map(|condition| condition["message"].as_str())
        .collect();
    if remaining.is_empty() {
        "it still exists".into()
    } else {
        remaining.join("; ")
    }
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
    let object = cluster::found(api.get_metadata(&entry.name).await);
    if object.map_err(cluster::request("read", entry.title()))?.is_none() {
        return Ok(());
    }
    let look =
        |object: Option<&DynamicObject>| object.map_or(Look::Ready, |object| Look::NotYet(held_by(object)));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_fails_without_a_break_is_given_up() {
        let start = Instant::now();
        let mut failing = Failing::default();
        assert!(!failing.is_over(true, start));
        assert!(!failing.is_over(true, start + FAILING_FOR / 2));
        assert!(!failing.is_over(false, start + FAILING_FOR));
        assert!(!failing.is_over(true, start + FAILING_FOR));
        assert!(failing.is_over(true, start + FAILING_FOR * 2));
    }

    #[test]
    fn what_holds_an_object_is_told() {
        let held = |value| held_by(&serde_json::from_value(value).unwrap());
        assert_eq!(held(json!({"metadata": {"name": "a"}})), "it still exists");
        let finalizer = json!({"metadata": {"name": "a", "finalizers": ["x.example/y"]}});
        assert!(held(finalizer).contains("x.example/y"));
        let namespace = json!({"metadata": {"name": "a"}, "status": {"conditions": [
            {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "z in 1 resource instances"},
            {"type": "NamespaceContentRemaining", "status": "False", "message": "nothing"}]}});
        assert_eq!(held(namespace), "z in 1 resource instances");
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
