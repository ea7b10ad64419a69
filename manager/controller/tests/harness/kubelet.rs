//! Plays the kubelet for pods that no scheduler takes.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use tokio::sync::watch;

/// What becomes of new pods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kubelet {
    /// They run and are ready.
    Ready,
    /// They end with an error.
    Fail,
    /// Nothing happens to them, nor to those that run.
    Idle,
}

impl Kubelet {
    /// An image that cannot be pulled.
    pub(crate) const MISSING_IMAGE: &str = "missing";
}

pub(crate) struct Handle {
    mode: watch::Sender<Kubelet>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Handle {
    pub(crate) fn start(client: Client, namespace: &str, scheduler: &'static str) -> Self {
        let (mode, current) = watch::channel(Kubelet::Ready);
        let api: Api<Pod> = Api::namespaced(client, namespace);
        let task = tokio::spawn(async move {
            let pods = watcher(api.clone(), watcher::Config::default())
                .default_backoff()
                .applied_objects();
            let mine = pods.filter_map(async |pod| pod.ok().filter(|pod| is_mine(pod, scheduler)));
            mine.for_each_concurrent(16, |pod| {
                let status = status(*current.borrow(), &pod);
                let api = &api;
                async move {
                    let Some(status) = status else { return };
                    let patch = json!({"status": status});
                    // The pod may be gone again.
                    let _ = api
                        .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch))
                        .await;
                }
            })
            .await;
        });
        Self { mode, task }
    }

    pub(crate) fn play(&self, mode: Kubelet) {
        self.mode.send_replace(mode);
    }
}

fn is_mine(pod: &Pod, scheduler: &str) -> bool {
    let mine = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref()) == Some(scheduler);
    mine && pod.metadata.deletion_timestamp.is_none()
}

/// The next status of a pod that is new, or whose containers have another image than they run.
fn status(mode: Kubelet, pod: &Pod) -> Option<Value> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_new = phase.is_none_or(|phase| phase == "Pending");
    let outdated =
        phase == Some("Running") && containers(pod).any(|(container, status)| is_outdated(container, status));
    match mode {
        Kubelet::Fail if is_new => {
            Some(json!({"phase": "Failed", "reason": "Played", "message": "by the test"}))
        }
        Kubelet::Ready if is_new || outdated => Some(run(pod)),
        Kubelet::Ready | Kubelet::Fail | Kubelet::Idle => None,
    }
}

/// As a kubelet would: a container of another image ends before the new image is pulled.
fn run(pod: &Pod) -> Value {
    let statuses: Vec<Value> = containers(pod)
        .map(|(container, status)| match status {
            Some(status) if !is_outdated(container, Some(status)) => json!(status),
            status => start(container, status.map_or(0, |status| status.restart_count + 1)),
        })
        .collect();
    let is_ready = statuses.iter().all(|status| status["ready"] == true);
    let ready = if is_ready { "True" } else { "False" };
    json!({"phase": "Running", "podIP": "10.9.8.7", "podIPs": [{"ip": "10.9.8.7"}],
        "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": statuses})
}

fn start(container: &Container, restarts: i32) -> Value {
    let image = container.image.as_deref().unwrap_or_default();
    let status = json!({"name": container.name, "image": image, "imageID": format!("id of {image}"),
        "restartCount": restarts});
    let (ready, state, id) = if image == Kubelet::MISSING_IMAGE {
        let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
        (false, waiting, restarts - 1)
    } else {
        (
            true,
            json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}),
            restarts,
        )
    };
    let more = json!({"ready": ready, "started": ready, "state": state,
        "containerID": format!("played://{}-{id}", container.name)});
    let both = [status, more]
        .into_iter()
        .filter_map(|part| part.as_object().cloned());
    Value::Object(both.flatten().collect())
}

fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, Option<&ContainerStatus>)> {
    let known = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref());
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.map(move |container| {
        let of_it = known
            .unwrap_or_default()
            .iter()
            .find(|status| status.name == container.name);
        (container, of_it)
    })
}

fn is_outdated(container: &Container, status: Option<&ContainerStatus>) -> bool {
    status.is_none_or(|status| Some(&status.image) != container.image.as_ref())
}
