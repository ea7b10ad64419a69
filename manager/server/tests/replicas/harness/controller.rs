//! Plays the controller: it gives sandboxes the states that pods would, and makes no pods.

use std::time::Duration;

use futures::StreamExt;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use silica_api::{
    crd::{Phase, Sandbox, condition},
    labels,
};

use super::daemon::ADDRESS;

/// Template whose sandboxes take [`SLOW`] to start.
pub(crate) const SLOW_TEMPLATE: &str = "slow";
/// How long they take.
pub(crate) const SLOW: Duration = Duration::from_secs(3);
/// Template whose sandboxes do not start.
pub(crate) const BROKEN_TEMPLATE: &str = "broken";

pub(crate) struct Handle(tokio::task::JoinHandle<()>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn start(client: Client, namespace: &str) -> Handle {
    let api: Api<Sandbox> = Api::namespaced(client, namespace);
    Handle(tokio::spawn(async move {
        let sandboxes = watcher(api.clone(), watcher::Config::default())
            .default_backoff()
            .applied_objects();
        let readable = sandboxes.filter_map(async |sandbox| sandbox.ok());
        readable
            .for_each_concurrent(64, |sandbox| {
                let api = &api;
                async move {
                    let Some(status) = next(&sandbox) else { return };
                    let is_new = sandbox.status.is_none();
                    if is_new
                        && sandbox
                            .labels()
                            .get(labels::TEMPLATE)
                            .is_some_and(|name| name == SLOW_TEMPLATE)
                    {
                        tokio::time::sleep(SLOW).await;
                    }
                    let patch = json!({"metadata": {"uid": sandbox.uid()}, "status": status});
                    // The sandbox may be gone again.
                    let _ = api
                        .patch_status(&sandbox.name_any(), &PatchParams::default(), &Patch::Merge(patch))
                        .await;
                }
            })
            .await;
    }))
}

/// The next status, if it changes.
fn next(sandbox: &Sandbox) -> Option<Value> {
    if sandbox.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let phase = sandbox.status.as_ref().and_then(|status| status.phase);
    let paused = sandbox.spec.paused == Some(true);
    let is_broken = sandbox
        .labels()
        .get(labels::TEMPLATE)
        .is_some_and(|name| name == BROKEN_TEMPLATE);
    match phase {
        None if is_broken => Some(json!({
            "phase": Phase::Pending, "message": "played by the test",
            "conditions": [ready("False", condition::START_CONTAINER_FAILED)],
        })),
        Some(Phase::Running) if paused => Some(json!({
            "phase": Phase::Paused, "podInfo": null,
            "conditions": [ready("False", condition::STOP_PAUSE_SUCCEEDED)],
        })),
        None if !paused => Some(running("first")),
        Some(Phase::Paused) if !paused => Some(running("resumed")),
        _ => None,
    }
}

/// A pod that runs, with a main container of this id.
pub(crate) fn running(container: &str) -> Value {
    json!({
        "phase": Phase::Running, "podInfo": {"podIP": ADDRESS, "containerID": container},
        "conditions": [ready("True", condition::POD_READY)],
    })
}

fn ready(status: &str, reason: &str) -> Value {
    json!({"type": condition::READY, "status": status, "reason": reason, "message": "",
        "lastTransitionTime": jiff::Timestamp::now().to_string()})
}
