//! Says why a pod does not start, in one reason and one sentence.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use silica_api::crd::condition;

/// Longest message kept; pull errors can be pages.
const MESSAGE_MAX: usize = 512;
/// Waiting reasons of a healthy start.
const HEALTHY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Why the pod is not ready, when something is wrong with it.
pub(crate) fn explain(pod: &Pod) -> Option<(&'static str, String)> {
    let status = pod.status.as_ref()?;
    if let Some(message) = unschedulable(status) {
        return Some((condition::UNSCHEDULABLE, shorten(message)));
    }
    containers(status)
        .find_map(waiting)
        .map(|message| (condition::START_CONTAINER_FAILED, shorten(&message)))
}

/// Why the pod ended, from the pod or its first container that says so.
pub(crate) fn epitaph(pod: &Pod) -> String {
    let Some(status) = pod.status.as_ref() else {
        return "the pod ended".to_owned();
    };
    let said = [status.reason.as_deref(), status.message.as_deref()];
    let said: Vec<&str> = said
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    if !said.is_empty() {
        return shorten(&said.join(": "));
    }
    containers(status)
        .filter_map(|container| {
            let end = container.state.as_ref()?.terminated.as_ref()?;
            let reason = end.reason.as_deref().unwrap_or("ended");
            Some(format!(
                "container {:?}: {reason}, exit code {}",
                container.name, end.exit_code
            ))
        })
        .next_back()
        .map_or_else(|| "the pod ended".to_owned(), |text| shorten(&text))
}

fn containers(status: &PodStatus) -> impl DoubleEndedIterator<Item = &ContainerStatus> {
    status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten()
}

fn unschedulable(status: &PodStatus) -> Option<&str> {
    status.conditions.iter().flatten().find_map(|condition| {
        let unschedulable = condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable");
        unschedulable.then(|| condition.message.as_deref().unwrap_or("no node takes the pod"))
    })
}

fn waiting(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?.waiting.as_ref()?;
    let reason = state
        .reason
        .as_deref()
        .filter(|reason| !HEALTHY.contains(reason))?;
    let last_end = container
        .last_state
        .as_ref()
        .and_then(|last| last.terminated.as_ref());
    let detail = match (state.message.as_deref(), last_end) {
        (Some(message), _) if reason != "CrashLoopBackOff" => format!(": {message}"),
        (_, Some(end)) => {
            let cause = end
                .message
                .as_deref()
                .or(end.reason.as_deref())
                .unwrap_or("it ended");
            format!(": {cause}, exit code {}", end.exit_code)
        }
        (Some(message), None) => format!(": {message}"),
        (None, None) => String::new(),
    };
    Some(format!("container {:?}: {reason}{detail}", container.name))
}

fn shorten(text: &str) -> String {
    text.trim().chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "literals read better than references to them"
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status})).unwrap()
    }

    fn container(name: &str, state: Value) -> Value {
        json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
    }

    #[test]
    fn a_normal_start_is_no_failure() {
        for reason in HEALTHY {
            let waiting = container("sandbox", json!({"waiting": {"reason": reason}}));
            assert_eq!(explain(&pod(json!({"containerStatuses": [waiting]}))), None);
        }
        assert_eq!(explain(&Pod::default()), None);
    }

    #[test]
    fn a_failed_pull_names_container_reason_and_message() {
        let waiting = container(
            "runtime",
            json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
        );
        assert_eq!(
            explain(&pod(json!({"initContainerStatuses": [waiting]}))),
            Some((
                condition::START_CONTAINER_FAILED,
                "container \"runtime\": ErrImagePull: not found".to_owned()
            ))
        );
    }

    #[test]
    fn a_crash_loop_shows_the_last_end_instead_of_the_changing_backoff() {
        let mut waiting = container(
            "sandbox",
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}),
        );
        waiting["lastState"] = json!({"terminated": {"exitCode": 127, "reason": "Error"}});
        let (reason, message) = explain(&pod(json!({"containerStatuses": [waiting]}))).unwrap();
        assert_eq!(reason, condition::START_CONTAINER_FAILED);
        assert_eq!(
            message,
            "container \"sandbox\": CrashLoopBackOff: Error, exit code 127"
        );
    }

    #[test]
    fn an_unschedulable_pod_says_why() {
        let status = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu."}]});
        let (reason, message) = explain(&pod(status)).unwrap();
        assert_eq!(
            (reason, message.contains("Insufficient cpu")),
            (condition::UNSCHEDULABLE, true)
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        let waiting = container(
            "sandbox",
            json!({"waiting": {"reason": "ErrImagePull", "message": "x".repeat(5000)}}),
        );
        let (_, message) = explain(&pod(json!({"containerStatuses": [waiting]}))).unwrap();
        assert_eq!(message.len(), MESSAGE_MAX);
    }

    #[test]
    fn an_evicted_pod_speaks_for_itself_and_else_its_container_does() {
        let evicted = pod(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}));
        assert_eq!(epitaph(&evicted), "Evicted: low on memory");
        let killed = container(
            "sandbox",
            json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
        );
        let text = epitaph(&pod(json!({"phase": "Failed", "containerStatuses": [killed]})));
        assert_eq!(text, "container \"sandbox\": OOMKilled, exit code 137");
    }
}
