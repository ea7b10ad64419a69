//! Why pods and sandboxes do not run, told for people.

use std::{collections::BTreeMap, fmt::Write as _};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams},
};
use silica_api::{crd::Sandbox, labels};

use crate::cluster::Cluster;

/// Label with the version of a Deployment's pods.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Lines of a log that are shown.
const LOG_LINES: i64 = 3;
/// Reasons of a waiting container that only another object or a new pod changes.
const PERMANENT: [&str; 3] = [
    "InvalidImageName",
    "CreateContainerConfigError",
    "ErrImageNeverPull",
];

/// Why something does not run.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Trouble {
    /// In Kubernetes' own words.
    pub(super) why: String,
    /// Whether it stays so unless somebody changes something.
    pub(super) is_permanent: bool,
}

/// Why the sandboxes of a pool are not ready, as their controller tells it.
pub(super) async fn of_pool(cluster: &Cluster, namespace: &str, pool: &str) -> Option<Trouble> {
    let api: Api<Sandbox> = Api::namespaced(cluster.client.clone(), namespace);
    let selector = format!("{}={pool}", labels::POOL);
    let sandboxes = api.list(&ListParams::default().labels(&selector)).await.ok()?;
    let messages = sandboxes
        .into_iter()
        .filter_map(|sandbox| sandbox.status?.message);
    let (mut trouble, count) = most_frequent(messages.map(|message| Trouble {
        why: shortened(&message),
        is_permanent: false,
    }))?;
    trouble.why += &number(count, "sandboxes");
    Some(trouble)
}

/// The most telling reason why the newest pods do not run, with the last lines of
/// a container that ends again and again.
pub(super) async fn of_pods(cluster: &Cluster, namespace: &str, selector: &str) -> Option<Trouble> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let pods = api
        .list(&ListParams::default().labels(selector))
        .await
        .ok()?
        .items;
    let pods = newest(&pods);
    let (mut trouble, count) = most_frequent(pods.iter().filter_map(|pod| trouble(pod)))?;
    trouble.why += &number(count, "pods");
    if let Some((pod, container, previous)) = pods.iter().find_map(|pod| ended(pod)) {
        let params = LogParams {
            container: Some(container),
            previous,
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        // Not everybody may read logs, and a node that is gone has none.
        let log = api.logs(&pod, &params).await.unwrap_or_default();
        if let Some(lines) = last_lines(&log) {
            let _ = write!(trouble.why, "; end of its log: {lines}");
        }
    }
    Some(trouble)
}

/// The pods of the version that was created last. An old version that is on its way
/// out says nothing about the new one.
fn newest(pods: &[Pod]) -> Vec<&Pod> {
    let hash = |pod: &Pod| pod.labels().get(TEMPLATE_HASH).cloned();
    let last = pods.iter().max_by_key(|pod| pod.creation_timestamp());
    let version = last.and_then(hash);
    pods.iter().filter(|pod| hash(pod) == version).collect()
}

/// What most objects have, with their number.
fn most_frequent(troubles: impl Iterator<Item = Trouble>) -> Option<(Trouble, usize)> {
    let mut counts: BTreeMap<Trouble, usize> = BTreeMap::new();
    for trouble in troubles {
        *counts.entry(trouble).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count)
}

fn number(count: usize, what: &str) -> String {
    if count > 1 {
        format!(" ({count} {what})")
    } else {
        String::new()
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let first = status.init_container_statuses.iter().flatten();
        first.chain(status.container_statuses.iter().flatten())
    })
}

/// Why this pod does not run, in Kubernetes' own words.
fn trouble(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let passing = |why: String| Trouble {
        why,
        is_permanent: false,
    };
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|one| one.type_ == "PodScheduled" && one.status == "False");
    if let Some(condition) = unscheduled {
        return Some(passing(format!(
            "cannot be scheduled: {}",
            condition.message.as_deref().unwrap_or("no reason given")
        )));
    }
    for container in containers(pod) {
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
            return Some(Trouble {
                why: shortened(text.trim()),
                is_permanent: PERMANENT.contains(&reason),
            });
        }
        if let Some(ended) = state.terminated.as_ref().filter(|ended| ended.exit_code != 0) {
            return Some(passing(format!(
                "container {} ended with exit code {}",
                container.name, ended.exit_code
            )));
        }
    }
    None
}

/// A container whose log tells why it ended: pod, container, and whether the log is
/// that of the run before.
fn ended(pod: &Pod) -> Option<(String, String, bool)> {
    containers(pod).find_map(|container| {
        let failed = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
            let ended = state.as_ref().and_then(|state| state.terminated.as_ref());
            ended.is_some_and(|ended| ended.exit_code != 0)
        };
        let is_waiting = container
            .state
            .as_ref()
            .is_some_and(|state| state.waiting.is_some());
        let previous = is_waiting && failed(&container.last_state);
        (previous || failed(&container.state)).then(|| (pod.name_any(), container.name.clone(), previous))
    })
}

/// The last lines of a log, as one.
fn last_lines(log: &str) -> Option<String> {
    let lines: Vec<&str> = log
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let from = lines
        .len()
        .saturating_sub(usize::try_from(LOG_LINES).unwrap_or_default());
    let last: Vec<String> = lines.iter().skip(from).map(|line| shortened(line)).collect();
    (!last.is_empty()).then(|| last.join(" | "))
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
        let why = |status: &serde_json::Value| trouble(&pod(status)).map(|trouble| trouble.why);
        assert_eq!(
            why(&waiting("ImagePullBackOff")).unwrap(),
            "container c: ImagePullBackOff not found"
        );
        assert_eq!(why(&waiting("ContainerCreating")), None);
        let pending =
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]});
        assert_eq!(why(&pending).unwrap(), "cannot be scheduled: 0/1 nodes");
        let is_permanent = |reason| trouble(&pod(&waiting(reason))).unwrap().is_permanent;
        assert!(is_permanent("InvalidImageName") && is_permanent("CreateContainerConfigError"));
        assert!(!is_permanent("ImagePullBackOff") && !is_permanent("CrashLoopBackOff"));
    }

    #[test]
    fn the_log_of_the_run_that_failed_is_the_one_to_read() {
        let ended_with = |state: &serde_json::Value, last: &serde_json::Value| {
            ended(&pod(
                &json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false,
                "restartCount": 1, "state": state, "lastState": last}]}),
            ))
        };
        let terminated = |code: i32| json!({"terminated": {"exitCode": code}});
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let of = |previous| Some(("a".to_owned(), "c".to_owned(), previous));
        assert_eq!(ended_with(&waiting, &terminated(1)), of(true));
        assert_eq!(ended_with(&terminated(1), &json!({})), of(false));
        assert_eq!(ended_with(&terminated(0), &json!({})), None);
        assert_eq!(ended_with(&json!({"running": {}}), &terminated(1)), None);
        assert_eq!(last_lines("a\nb\n\nc\nd\n").unwrap(), "b | c | d");
        assert_eq!(last_lines("\n"), None);
    }

    #[test]
    fn pods_of_an_older_version_do_not_count() {
        let pod = |name: &str, hash: &str, created: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": name, "labels": {TEMPLATE_HASH: hash},
                "creationTimestamp": created}}))
            .unwrap()
        };
        let pods = [
            pod("old", "1", "2026-01-01T00:00:00Z"),
            pod("new", "2", "2026-01-02T00:00:00Z"),
            pod("newer", "2", "2026-01-02T00:00:01Z"),
        ];
        let names: Vec<String> = newest(&pods).iter().map(|pod| pod.name_any()).collect();
        assert_eq!(names, ["new", "newer"]);
    }

    #[test]
    fn the_most_frequent_reason_is_told_with_its_number() {
        let trouble = |text: &str| Trouble {
            why: text.to_owned(),
            is_permanent: false,
        };
        let reasons = |texts: &[&str]| most_frequent(texts.iter().map(|text| trouble(text)));
        assert_eq!(reasons(&["a", "b", "b"]).unwrap(), (trouble("b"), 2));
        assert_eq!(reasons(&["a"]).unwrap(), (trouble("a"), 1));
        assert_eq!(reasons(&[]), None);
        assert_eq!(
            (number(2, "pods"), number(1, "pods")),
            (" (2 pods)".into(), String::new())
        );
    }

    #[test]
    fn long_messages_keep_their_start_and_their_end() {
        let text = format!("image{}cause", "x".repeat(500));
        let short = shortened(&text);
        assert!(short.starts_with("image") && short.ends_with("cause") && short.len() < 250);
    }
}
