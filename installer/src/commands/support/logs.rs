//! Logs of controller and manager; those of sandboxes are their users'.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, Client, ResourceExt, api::LogParams};
use silica_api::names;

use super::{collection::Collection, objects::answer};

/// Bytes of one log at most.
const MOST_BYTES: i64 = 4 << 20;

/// The logs of all containers of the pods, and of those before them.
pub(super) async fn collect(client: &Client, pods: &[Pod], lines: i64, collection: &mut Collection) {
    let api: Api<Pod> = Api::namespaced(client.clone(), names::NAMESPACE);
    for pod in pods {
        for wanted in wanted(pod) {
            let params = LogParams {
                container: Some(wanted.container.clone()),
                previous: wanted.previous,
                tail_lines: Some(lines),
                limit_bytes: Some(MOST_BYTES),
                timestamps: true,
                ..LogParams::default()
            };
            let path = wanted.path(&pod.name_any());
            let read = answer(api.logs(&pod.name_any(), &params)).await;
            if let Some(text) = collection.take(&path, read).flatten() {
                collection.add(path, &text);
            }
        }
    }
}

/// One log.
#[derive(Debug, Eq, PartialEq)]
struct Wanted {
    container: String,
    previous: bool,
}

impl Wanted {
    fn path(&self, pod: &str) -> String {
        let suffix = if self.previous { ".previous" } else { "" };
        format!("logs/{pod}/{}{suffix}.log", self.container)
    }
}

/// Those of containers that have run: one that waits has no log to be missing.
fn wanted(pod: &Pod) -> Vec<Wanted> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
        .flat_map(|container| {
            let one = |previous| Wanted {
                container: container.name.clone(),
                previous,
            };
            let present = has_run(container).then(|| one(false));
            let former = (container.restart_count > 0).then(|| one(true));
            [present, former].into_iter().flatten()
        })
        .collect()
}

fn has_run(container: &ContainerStatus) -> bool {
    container
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_that_wait_have_no_log_and_those_that_ended_before_have_two() {
        let status = |name: &str, restarts: i32, state: serde_json::Value| {
            json!({"name": name, "ready": false, "restartCount": restarts, "image": "", "imageID": "",
                "state": state})
        };
        let pod: Pod = serde_json::from_value(json!({"status": {
            "initContainerStatuses": [status("copy", 0, json!({"terminated": {"exitCode": 0}}))],
            "containerStatuses": [status("a", 0, json!({"waiting": {}})), status("b", 2, json!({"running": {}})),
                status("c", 1, json!({"waiting": {}}))]
        }}))
        .unwrap();
        let paths: Vec<String> = wanted(&pod).iter().map(|one| one.path("p")).collect();
        assert_eq!(
            paths,
            [
                "logs/p/copy.log",
                "logs/p/b.log",
                "logs/p/b.previous.log",
                "logs/p/c.previous.log"
            ]
        );
        assert!(wanted(&Pod::default()).is_empty());
    }
}
