//! Plays the kubelet for pods that no scheduler takes.

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
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
            let new = pods.filter_map(async |pod| pod.ok().filter(|pod| is_new(pod, scheduler)));
            new.for_each_concurrent(16, |pod| {
                let status = status(*current.borrow());
                let api = &api;
                async move {
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

fn is_new(pod: &Pod, scheduler: &str) -> bool {
    let pending = pod
        .status
        .as_ref()
        .is_none_or(|status| status.phase.as_deref() == Some("Pending"));
    let mine = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref()) == Some(scheduler);
    pending && mine && pod.metadata.deletion_timestamp.is_none()
}

fn status(mode: Kubelet) -> Value {
    match mode {
        Kubelet::Ready => json!({"phase": "Running", "podIP": "10.9.8.7", "podIPs": [{"ip": "10.9.8.7"}],
            "conditions": [{"type": "Ready", "status": "True"}]}),
        Kubelet::Fail => json!({"phase": "Failed", "reason": "Played", "message": "by the test"}),
    }
}
