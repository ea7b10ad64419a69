//! Watches: fill the caches, and queue what a change concerns.

use std::{fmt::Debug, sync::Arc};

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use silica_api::{
    crd::{ClaimPhase, Sandbox, SandboxClaim, SandboxSet},
    labels,
};
use silica_core::claim::{Facts, is_available};

use crate::{
    cache::{Caches, Writers},
    queue::{Orphan, Queues},
    sandbox::put_main_first,
};

/// Objects per page of a list; keeps the memory peak of a re-list low.
const PAGE_SIZE: u32 = 100;

/// Watches everything forever. Returns the kind whose watch ended.
pub(crate) async fn run(
    client: Client,
    writers: Writers,
    caches: Caches,
    queues: Arc<Queues>,
) -> &'static str {
    let all = watcher::Config::default().page_size(PAGE_SIZE);
    let made_here = all.clone().labels(&format!("{}=sandbox", labels::CREATED_BY));
    let relisted = || queues.push_all(&caches);

    let sandboxes = feed(
        Api::all(client.clone()),
        all.clone(),
        (writers.sandboxes, caches.sandboxes.clone()),
        trim_metadata,
        |change| match change {
            Change::Touched { before, now } => {
                queues.sandboxes.push(ObjectRef::from_obj(now));
                claims(now, &caches.claims).for_each(|claim| queues.claims.push(claim));
                before
                    .into_iter()
                    .chain([now])
                    .flat_map(pools)
                    .for_each(|set| queues.sets.push(set));
            }
            Change::Removed(sandbox) => {
                pools(sandbox).for_each(|set| queues.sets.push(set));
                claims(sandbox, &caches.claims).for_each(|claim| queues.claims.push(claim));
                queues.orphans.push(Orphan {
                    namespace: sandbox.namespace().unwrap_or_default(),
                    name: sandbox.name_any(),
                    owner: sandbox.uid().unwrap_or_default(),
                });
            }
            Change::Relisted => relisted(),
        },
    );
    let sets = feed(
        Api::all(client.clone()),
        all.clone(),
        (writers.sets, caches.sets.clone()),
        trim_metadata,
        |change| match change {
            Change::Touched { now, .. } => {
                queues.sets.push(ObjectRef::from_obj(now));
                if now.metadata.deletion_timestamp.is_some() {
                    waiting(now, &caches.claims).for_each(|claim| queues.claims.push(claim));
                }
            }
            Change::Removed(set) => waiting(set, &caches.claims).for_each(|claim| queues.claims.push(claim)),
            Change::Relisted => relisted(),
        },
    );
    let claims = feed(
        Api::all(client.clone()),
        all.clone(),
        (writers.claims, caches.claims.clone()),
        trim_metadata,
        |change| match change {
            Change::Touched { now, .. } => queues.claims.push(ObjectRef::from_obj(now)),
            Change::Removed(_) => {}
            Change::Relisted => relisted(),
        },
    );
    // A template concerns many objects and changes rarely: look at all of them.
    let templates = feed(
        Api::all(client.clone()),
        all,
        (writers.templates, caches.templates.clone()),
        trim_metadata,
        |change: Change<'_, silica_api::crd::SandboxTemplate>| match change {
            Change::Touched { .. } | Change::Removed(_) | Change::Relisted => relisted(),
        },
    );
    let pods = feed(
        Api::all(client),
        made_here,
        (writers.pods, caches.pods.clone()),
        trim_pod,
        |change| match change {
            Change::Touched { now: pod, .. } | Change::Removed(pod) => {
                // A pod has the name of its Sandbox.
                queues
                    .sandboxes
                    .push(ObjectRef::new(&pod.name_any()).within(&pod.namespace().unwrap_or_default()));
            }
            Change::Relisted => relisted(),
        },
    );
    pin_mut!(sandboxes, sets, claims, templates, pods);
    tokio::select! {
        () = sandboxes => "Sandbox",
        () = sets => "SandboxSet",
        () = claims => "SandboxClaim",
        () = templates => "SandboxTemplate",
        () = pods => "Pod",
    }
}

/// A change of one kind, after the cache knows it.
enum Change<'a, K> {
    /// An object is new or differs from `before`.
    Touched { before: Option<&'a K>, now: &'a K },
    /// An object is gone; this is its last state.
    Removed(&'a K),
    /// The cache was filled anew; anything may have changed.
    Relisted,
}

/// Runs one watch into one store.
///
/// An object that cannot be read is logged and left out, so that one malformed
/// object cannot stop the controller for everybody.
async fn feed<K>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    (mut writer, store): (Writer<K>, Store<K>),
    trim: impl Fn(&mut K),
    on_change: impl Fn(Change<'_, K>),
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let stream = watcher::watcher(api, config).default_backoff();
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "failed to watch; trying again");
                continue;
            }
        };
        let Some(event) = readable(event) else { continue };
        let event = event.modify(&trim);
        let before = match &event {
            Event::Apply(object) => store.get(&ObjectRef::from_obj(object)),
            _ => None,
        };
        writer.apply_watcher_event(&event);
        match &event {
            Event::Apply(object) => on_change(Change::Touched {
                before: before.as_deref(),
                now: object,
            }),
            Event::Delete(object) => on_change(Change::Removed(object)),
            Event::InitDone => on_change(Change::Relisted),
            Event::Init | Event::InitApply(_) => {}
        }
    }
}

fn readable<K: Resource<DynamicType = ()>>(event: Event<DeserializeGuard<K>>) -> Option<Event<K>> {
    let open = |guard: DeserializeGuard<K>| {
        guard
            .0
            .inspect_err(|invalid| {
                tracing::warn!(
                    kind = %K::kind(&()),
                    namespace = invalid.metadata.namespace,
                    name = invalid.metadata.name,
                    error = %invalid.error,
                    "failed to read an object; it is ignored",
                );
            })
            .ok()
    };
    Some(match event {
        Event::Apply(object) => Event::Apply(open(object)?),
        Event::InitApply(object) => Event::InitApply(open(object)?),
        Event::Delete(object) => Event::Delete(open(object)?),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}

/// The pools that a Sandbox concerns: the one that it was made for, which its
/// label names even after a claim took the owner reference away, and its owner.
fn pools(sandbox: &Sandbox) -> impl Iterator<Item = ObjectRef<SandboxSet>> {
    let namespace = sandbox.namespace().unwrap_or_default();
    let labelled = sandbox.labels().get(labels::POOL).cloned();
    let owner = sandbox
        .owner_references()
        .iter()
        .find(|owner| owner.kind == SandboxSet::kind(&()) && owner.controller == Some(true))
        .map(|owner| owner.name.clone())
        .filter(|owner| Some(owner) != labelled.as_ref());
    labelled
        .into_iter()
        .chain(owner)
        .map(move |name| ObjectRef::new(&name).within(&namespace))
}

/// The claims that a Sandbox concerns: the one that it was claimed by, and when it can be
/// claimed all that its pool does not have enough for.
fn claims(sandbox: &Sandbox, known: &Store<SandboxClaim>) -> impl Iterator<Item = ObjectRef<SandboxClaim>> {
    let namespace = sandbox.namespace().unwrap_or_default();
    let label = |key: &str| sandbox.labels().get(key).cloned();
    let pool = label(labels::POOL).filter(|_| is_available(Facts::from(sandbox)));
    let waiting = pool.map(|pool| waiting_for(&namespace, &pool, known));
    label(labels::CLAIM_NAME)
        .map(|name| ObjectRef::new(&name).within(&namespace))
        .into_iter()
        .chain(waiting.into_iter().flatten())
}

/// The claims that wait for a pool.
fn waiting(set: &SandboxSet, known: &Store<SandboxClaim>) -> impl Iterator<Item = ObjectRef<SandboxClaim>> {
    waiting_for(&set.namespace().unwrap_or_default(), &set.name_any(), known).into_iter()
}

fn waiting_for(namespace: &str, set: &str, known: &Store<SandboxClaim>) -> Vec<ObjectRef<SandboxClaim>> {
    let waits = |claim: &SandboxClaim| {
        let phase = claim.status.as_ref().and_then(|status| status.phase);
        phase != Some(ClaimPhase::Completed)
            && claim.spec.template_name == set
            && claim.metadata.namespace.as_deref() == Some(namespace)
    };
    let found = known.state_filter(waits);
    found
        .iter()
        .map(|claim| ObjectRef::from_obj(claim.as_ref()))
        .collect()
}

/// Drops what no decision needs and what is large.
fn trim_metadata<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
    if let Some(annotations) = object.meta_mut().annotations.as_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// Of a pod only metadata, node and status are needed, that of the main container first.
fn trim_pod(pod: &mut Pod) {
    trim_metadata(pod);
    pod.metadata.annotations = None;
    put_main_first(pod);
    let node_name = pod.spec.take().and_then(|spec| spec.node_name);
    pod.spec = Some(PodSpec {
        node_name,
        ..PodSpec::default()
    });
    if let Some(status) = pod.status.as_mut() {
        status.host_ip = None;
        status.host_ips = None;
        status.pod_ips = None;
        for container in status
            .container_statuses
            .iter_mut()
            .chain(status.init_container_statuses.iter_mut())
            .flatten()
        {
            container.volume_mounts = None;
            container.allocated_resources = None;
            container.resources = None;
            container.image_id = String::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sandbox(metadata: &serde_json::Value) -> Sandbox {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": metadata, "spec": {},
        }))
        .unwrap()
    }

    fn pool_names(sandbox: &Sandbox) -> Vec<String> {
        pools(sandbox).map(|set| set.name).collect()
    }

    #[test]
    fn a_claimed_sandbox_still_names_its_pool() {
        let claimed = sandbox(&json!({"name": "a", "namespace": "ns", "labels": {labels::POOL: "pool"}}));
        assert_eq!(pool_names(&claimed), ["pool"]);
    }

    #[test]
    fn a_sandbox_whose_label_was_removed_is_found_by_its_owner() {
        let owner = json!([{"apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet", "name": "pool",
            "uid": "u", "controller": true}]);
        let unlabelled = sandbox(&json!({"name": "a", "namespace": "ns", "ownerReferences": owner}));
        assert_eq!(pool_names(&unlabelled), ["pool"]);
        let both = sandbox(&json!({"name": "a", "namespace": "ns", "ownerReferences": owner,
            "labels": {labels::POOL: "pool"}}));
        assert_eq!(pool_names(&both), ["pool"]);
    }

    #[test]
    fn an_unreadable_object_is_left_out() {
        let guard: DeserializeGuard<Sandbox> = serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a"}, "spec": {"paused": "perhaps"},
        }))
        .unwrap();
        assert!(readable(Event::Apply(guard)).is_none());
    }

    #[test]
    fn a_cached_pod_keeps_node_and_state_but_no_spec() {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "a", "managedFields": [{}], "labels": {"x": "y"}},
            "spec": {"nodeName": "node", "containers": [{"name": "main"}, {"name": "helper"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [
                {"name": "helper", "image": "", "imageID": "", "ready": true, "restartCount": 0},
                {"name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0},
            ]},
        }))
        .unwrap();
        trim_pod(&mut pod);
        let spec = pod.spec.unwrap();
        assert_eq!(
            (spec.node_name.as_deref(), spec.containers.len()),
            (Some("node"), 0)
        );
        let status = pod.status.unwrap();
        assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
        assert_eq!(status.container_statuses.unwrap()[0].name, "main");
        assert!(pod.metadata.managed_fields.is_none() && pod.metadata.labels.is_some());
    }
}
