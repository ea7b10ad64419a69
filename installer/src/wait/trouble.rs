//! Why pods and sandboxes do not run, told for people.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use silica_api::{crd::Sandbox, labels};

use crate::cluster::Cluster;

/// Why the sandboxes of a pool are not ready, as their controller tells it.
pub(super) async fn of_pool(cluster: &Cluster, namespace: &str, pool: &str) -> Option<String> {
    let api: Api<Sandbox> = Api::namespaced(cluster.client.clone(), namespace);
    let selector = format!("{}={pool}", labels::POOL);
    let sandboxes = api.list(&ListParams::default().labels(&selector)).await.ok()?;
    let messages = sandboxes
        .into_iter()
        .filter_map(|sandbox| sandbox.status?.message);
    most_frequent(messages.map(|message| shortened(&message)), "sandboxes")
}

/// The most telling reason why pods do not run.
pub(super) async fn of_pods(cluster: &Cluster, namespace: &str, selector: &str) -> Option<String> {
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
}
