//! Computes the status of a Sandbox from what was seen and done; no IO.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use kube::ResourceExt;
use silica_api::{
    crd::{Condition, ConditionStatus, Phase, PodInfo, Sandbox, SandboxStatus, condition},
    labels,
};

use super::{
    decide::is_leaving,
    failure,
    image::{self, Progress},
    observe::Seen,
};

/// What the status is computed from.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// There is no pod, and there should be none.
    NoPod,
    /// The pod as it is now.
    Pod(Arc<Pod>),
    /// The pod is about to be removed for a pause.
    Pausing,
    /// The pod vanished without being asked to.
    Lost,
    /// There is no pod, although there should be one.
    Trouble(Trouble),
}

/// What keeps a pod from being made.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    InvalidTemplate(String),
    CreateFailed(String),
    ImageRefused(String),
    VolumeRefused(String),
    ForeignPod { owner: String },
}

impl From<Seen> for Outcome {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Absent => Self::NoPod,
            Seen::Own(pod) => Self::Pod(pod),
            Seen::Foreign { owner } => Self::Trouble(Trouble::ForeignPod { owner }),
        }
    }
}

impl Outcome {
    /// Whether trying again later may help without any change of the Sandbox.
    pub(crate) fn is_trouble(&self) -> bool {
        matches!(self, Self::Trouble(_))
    }
}

/// The next status.
pub(crate) fn next(sandbox: &Sandbox, outcome: &Outcome, now: Timestamp) -> SandboxStatus {
    let old = sandbox.status.clone().unwrap_or_default();
    let generation = sandbox.metadata.generation;
    let mut status = SandboxStatus {
        observed_generation: generation,
        ..old.clone()
    };
    let mut conditions = Conditions {
        list: &mut status.conditions,
        generation,
        now,
    };

    if sandbox.metadata.deletion_timestamp.is_some() {
        conditions.set(
            condition::READY,
            false,
            condition::POD_TERMINATING,
            "the sandbox is being deleted",
        );
        return SandboxStatus {
            phase: Some(Phase::Terminating),
            message: None,
            ..status
        };
    }
    if matches!(old.phase, Some(Phase::Succeeded | Phase::Failed)) {
        return status;
    }
    let paused = sandbox.spec.paused == Some(true);
    let (phase, message) = match outcome {
        Outcome::Pausing => pausing(&mut conditions),
        Outcome::Pod(pod) if paused || old.phase == Some(Phase::Paused) && is_leaving(pod) => {
            pausing(&mut conditions)
        }
        Outcome::NoPod if paused => {
            conditions.set(
                condition::READY,
                false,
                condition::STOP_PAUSE_SUCCEEDED,
                "the sandbox is paused",
            );
            conditions.set(
                condition::PAUSED,
                true,
                condition::STOP_PAUSE_SUCCEEDED,
                "the pod is gone, volumes are kept",
            );
            (Phase::Paused, None)
        }
        Outcome::NoPod => (old.phase.unwrap_or(Phase::Pending), old.message.clone()),
        Outcome::Lost => {
            let message = "the pod vanished: it was deleted, or its node is gone";
            conditions.set(condition::READY, false, condition::POD_LOST, message);
            (Phase::Failed, Some(message.to_owned()))
        }
        Outcome::Trouble(trouble) => {
            let (reason, message) = describe(trouble);
            conditions.set(condition::READY, false, reason, &message);
            (old.phase.unwrap_or(Phase::Pending), Some(message))
        }
        Outcome::Pod(pod) => running(pod, old.phase, image::pending(sandbox), &mut conditions),
    };
    let is_ready =
        matches!(outcome, Outcome::Pod(_)) && phase == Phase::Running && conditions.holds(condition::READY);
    let wanted = sandbox.spec.wanted_image();
    status.image = wanted
        .filter(|wanted| is_ready || old.image.as_deref() == Some(wanted))
        .map(str::to_owned);
    status.phase = Some(phase);
    status.message = message;
    match outcome {
        Outcome::Pod(pod) => describe_pod(&mut status, pod),
        Outcome::NoPod if paused => {
            (status.pod_info, status.node_name, status.sandbox_ip) = (None, None, None);
        }
        Outcome::NoPod | Outcome::Pausing | Outcome::Lost | Outcome::Trouble(_) => {}
    }
    status
}

/// A failure that the new status shows and the old one does not: reason and
/// message of an Event. A message that merely changes is no news.
pub(crate) fn news(old: Option<&SandboxStatus>, new: &SandboxStatus) -> Option<(String, String)> {
    const HARMLESS: [&str; 5] = [
        condition::IMAGE_CHANGING,
        condition::POD_READY,
        condition::POD_TERMINATING,
        condition::PAUSE_PENDING,
        condition::STOP_PAUSE_SUCCEEDED,
    ];
    let ready = |status: &SandboxStatus| {
        status
            .conditions
            .iter()
            .find(|condition| condition.kind == condition::READY)
            .cloned()
    };
    let is_bad = new.phase != Some(Phase::Succeeded);
    let now = ready(new).filter(|ready| is_bad && !HARMLESS.contains(&ready.reason.as_str()))?;
    let before = old.and_then(ready);
    (before.is_none_or(|before| before.reason != now.reason)).then_some((now.reason, now.message))
}

fn pausing(conditions: &mut Conditions<'_>) -> (Phase, Option<String>) {
    conditions.set(
        condition::READY,
        false,
        condition::PAUSE_PENDING,
        "the sandbox is being paused",
    );
    conditions.set(
        condition::PAUSED,
        false,
        condition::PAUSE_PENDING,
        "the pod is being removed",
    );
    (Phase::Paused, None)
}

fn describe(trouble: &Trouble) -> (&'static str, String) {
    match trouble {
        Trouble::InvalidTemplate(message) => (condition::INVALID_TEMPLATE, message.clone()),
        Trouble::ImageRefused(message) => (condition::IMAGE_CHANGE_FAILED, message.clone()),
        Trouble::VolumeRefused(message) => (condition::VOLUME_MOUNT_FAILED, message.clone()),
        Trouble::CreateFailed(message) => (condition::POD_CREATE_FAILED, message.clone()),
        Trouble::ForeignPod { owner } => (
            condition::POD_OWNER_MISMATCH,
            format!("a pod of this name exists and is controlled by {owner}; it is left alone"),
        ),
    }
}

/// Phase and conditions that follow from a pod that is wanted, with the image that
/// it does not have yet.
fn running(
    pod: &Pod,
    old: Option<Phase>,
    pending: Option<&str>,
    conditions: &mut Conditions<'_>,
) -> (Phase, Option<String>) {
    // A resumed sandbox has no phase Pending of its own.
    let starting = match old {
        Some(Phase::Paused | Phase::Resuming) => Phase::Resuming,
        _ => Phase::Pending,
    };
    if starting == Phase::Resuming {
        conditions.remove(condition::PAUSED);
        conditions.set(
            condition::RESUMED,
            false,
            condition::CREATE_POD,
            "the new pod is starting",
        );
    }
    let has_run = old == Some(Phase::Running);
    if is_leaving(pod) {
        // Its end is a loss, whatever the exit code of its containers.
        let message = "the pod is being deleted";
        conditions.set(condition::READY, false, condition::POD_TERMINATING, message);
        return (
            if has_run { Phase::Running } else { starting },
            Some(message.to_owned()),
        );
    }
    let pod_phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if let Some((phase, end)) = match pod_phase {
        Some("Succeeded") => Some((Phase::Succeeded, "all containers ended with success".to_owned())),
        Some("Failed") => Some((Phase::Failed, failure::epitaph(pod))),
        _ => None,
    } {
        conditions.set(condition::READY, false, condition::POD_ENDED, &end);
        return (phase, Some(end));
    }
    let changing = pending.filter(|wanted| image::progress(pod, wanted) != Progress::Runs);
    if pod_phase == Some("Running") && is_ready(pod) && changing.is_none() {
        conditions.set(condition::READY, true, condition::POD_READY, "");
        if starting == Phase::Resuming {
            conditions.set(condition::RESUMED, true, condition::CREATE_POD, "");
        }
        return (Phase::Running, None);
    }
    let (reason, message) = failure::explain(pod).unwrap_or_else(|| match changing.filter(|_| has_run) {
        Some(image) => {
            let message = format!("the main container is being replaced by one of image {image}");
            (condition::IMAGE_CHANGING, message)
        }
        None => (condition::POD_READY, "the pod is not ready yet".to_owned()),
    });
    conditions.set(condition::READY, false, reason, &message);
    (if has_run { Phase::Running } else { starting }, Some(message))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .filter_map(|status| status.conditions.as_ref())
        .flatten();
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn describe_pod(status: &mut SandboxStatus, pod: &Pod) {
    let ip = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ip.clone())
        .filter(|ip| !ip.is_empty());
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    status.update_revision = pod.labels().get(labels::TEMPLATE_HASH).cloned();
    status.node_name.clone_from(&node);
    status.sandbox_ip.clone_from(&ip);
    status.pod_info = Some(PodInfo {
        annotations: std::collections::BTreeMap::new(),
        labels: pod.labels().clone(),
        node_name: node,
        pod_ip: ip,
        pod_uid: pod.uid(),
    });
}

/// A list of conditions being updated.
pub(crate) struct Conditions<'a> {
    pub(crate) list: &'a mut Vec<Condition>,
    pub(crate) generation: Option<i64>,
    pub(crate) now: Timestamp,
}

impl Conditions<'_> {
    /// Whether a condition is true.
    fn holds(&self, kind: &str) -> bool {
        self.list
            .iter()
            .any(|condition| condition.kind == kind && condition.status == ConditionStatus::True)
    }

    /// Sets one condition; the transition time changes with the status only.
    pub(crate) fn set(&mut self, kind: &str, holds: bool, reason: &str, message: &str) {
        let status = if holds {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        };
        let old = self.list.iter().position(|condition| condition.kind == kind);
        let since = old
            .map(|index| &self.list[index])
            .filter(|condition| condition.status == status);
        let condition = Condition {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: since.map_or(Time(self.now), |same| same.last_transition_time.clone()),
            observed_generation: self.generation,
        };
        match old {
            Some(index) => self.list[index] = condition,
            None => self.list.push(condition),
        }
    }

    pub(crate) fn remove(&mut self, kind: &str) {
        self.list.retain(|condition| condition.kind != kind);
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "literals read better than references to them"
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn sandbox(spec: Value) -> Sandbox {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a", "namespace": "ns", "uid": "u", "generation": 3}, "spec": spec,
        }))
        .unwrap()
    }

    fn pod(phase: &str, ready: bool) -> Outcome {
        let ready = if ready { "True" } else { "False" };
        Outcome::Pod(Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": "a", "uid": "p", "labels": {labels::TEMPLATE_HASH: "h"}},
                "spec": {"nodeName": "node", "containers": []},
                "status": {"phase": phase, "podIP": "10.0.0.9", "conditions": [{"type": "Ready", "status": ready}]},
            }))
            .unwrap(),
        ))
    }

    fn leaving(outcome: Outcome) -> Outcome {
        let Outcome::Pod(pod) = outcome else {
            return outcome;
        };
        let mut pod = Arc::unwrap_or_clone(pod);
        pod.metadata.deletion_timestamp = Some(Time(at(0)));
        Outcome::Pod(Arc::new(pod))
    }

    /// Runs the outcomes one after the other, a second apart.
    fn play(sandbox: &mut Sandbox, outcomes: &[Outcome]) -> SandboxStatus {
        for (second, outcome) in (0..).zip(outcomes) {
            sandbox.status = Some(next(sandbox, outcome, at(second)));
        }
        sandbox.status.clone().unwrap()
    }

    fn ready(status: &SandboxStatus) -> (ConditionStatus, &str, &str) {
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.kind == condition::READY)
            .unwrap();
        (ready.status, &ready.reason, &ready.message)
    }

    #[test]
    fn a_ready_pod_makes_a_running_sandbox_with_its_address() {
        let status = play(
            &mut sandbox(json!({})),
            &[pod("Pending", false), pod("Running", true)],
        );
        assert_eq!(status.phase, Some(Phase::Running));
        assert_eq!(ready(&status), (ConditionStatus::True, condition::POD_READY, ""));
        let info = status.pod_info.unwrap();
        assert_eq!(
            (info.pod_ip.as_deref(), info.pod_uid.as_deref()),
            (Some("10.0.0.9"), Some("p"))
        );
        assert_eq!((status.observed_generation, status.message), (Some(3), None));
        assert_eq!(status.update_revision.as_deref(), Some("h"));
    }

    #[test]
    fn a_running_pod_that_is_not_ready_keeps_the_sandbox_pending() {
        let status = play(&mut sandbox(json!({})), &[pod("Running", false)]);
        assert_eq!(status.phase, Some(Phase::Pending));
        assert_eq!(ready(&status).0, ConditionStatus::False);
    }

    #[test]
    fn a_lapse_of_readiness_does_not_change_the_phase() {
        let status = play(
            &mut sandbox(json!({})),
            &[pod("Running", true), pod("Running", false)],
        );
        assert_eq!(status.phase, Some(Phase::Running));
        assert_eq!(ready(&status).0, ConditionStatus::False);
    }

    #[test]
    fn the_same_view_gives_the_same_status_at_any_time() {
        let mut sandbox = sandbox(json!({}));
        let first = play(&mut sandbox, &[pod("Running", true)]);
        assert_eq!(next(&sandbox, &pod("Running", true), at(500)), first);
    }

    #[test]
    fn the_transition_time_changes_with_the_status_only() {
        let outcomes = [
            Outcome::Trouble(Trouble::CreateFailed("quota".to_owned())),
            Outcome::Trouble(Trouble::CreateFailed("other quota".to_owned())),
        ];
        let status = play(&mut sandbox(json!({})), &outcomes);
        assert_eq!(status.conditions[0].last_transition_time, Time(at(0)));
        assert_eq!(status.conditions[0].message, "other quota");
        let status = play(
            &mut sandbox(json!({})),
            &[outcomes[0].clone(), pod("Running", true)],
        );
        assert_eq!(status.conditions[0].last_transition_time, Time(at(1)));
    }

    #[test]
    fn an_ended_or_lost_pod_is_terminal() {
        for (end, phase) in [
            (pod("Succeeded", false), Phase::Succeeded),
            (pod("Failed", false), Phase::Failed),
            (Outcome::Lost, Phase::Failed),
        ] {
            let mut sandbox = sandbox(json!({}));
            let status = play(&mut sandbox, &[pod("Running", true), end]);
            assert_eq!(
                (status.phase, ready(&status).0),
                (Some(phase), ConditionStatus::False)
            );
            assert!(status.message.is_some());
            assert_eq!(
                play(&mut sandbox, &[pod("Running", true)]).phase,
                Some(phase),
                "terminal phase was left"
            );
        }
    }

    #[test]
    fn a_pod_being_deleted_is_not_ready_at_once() {
        let status = play(
            &mut sandbox(json!({})),
            &[pod("Running", true), leaving(pod("Running", true))],
        );
        assert_eq!(status.phase, Some(Phase::Running));
        assert_eq!(ready(&status).1, condition::POD_TERMINATING);
        let ended = play(
            &mut sandbox(json!({})),
            &[
                pod("Running", true),
                leaving(pod("Succeeded", false)),
                Outcome::Lost,
            ],
        );
        assert_eq!(ended.phase, Some(Phase::Failed), "a deleted pod did not succeed");
    }

    #[test]
    fn a_failure_is_news_once() {
        let mut sandbox = sandbox(json!({}));
        let healthy = play(&mut sandbox, &[pod("Running", true)]);
        assert_eq!(news(None, &healthy), None);
        let lost = play(&mut sandbox, &[Outcome::Lost]);
        assert_eq!(news(Some(&healthy), &lost).unwrap().0, condition::POD_LOST);
        assert_eq!(news(Some(&lost), &lost), None);
        assert_eq!(news(Some(&lost), &healthy), None);
    }

    #[test]
    fn a_foreign_pod_is_named_in_the_condition() {
        let outcome = Outcome::Trouble(Trouble::ForeignPod {
            owner: "ReplicaSet \"web\"".to_owned(),
        });
        let status = play(&mut sandbox(json!({})), &[outcome]);
        assert_eq!(ready(&status).1, condition::POD_OWNER_MISMATCH);
        assert!(ready(&status).2.contains("web"));
        assert_eq!(status.pod_info, None);
    }

    #[test]
    fn a_change_of_the_image_is_over_when_another_container_is_ready() {
        let changed = |container: Value, ready: bool| {
            let Outcome::Pod(pod) = pod("Running", ready) else {
                unreachable!()
            };
            let mut pod = serde_json::to_value(&*pod).unwrap();
            pod["metadata"]["annotations"] = json!({labels::REPLACED_CONTAINER: "c1"});
            pod["spec"]["containers"] = json!([{"name": "sandbox", "image": "v2"}]);
            let known =
                json!({"name": "sandbox", "image": "i", "imageID": "", "ready": ready, "restartCount": 0});
            pod["status"]["containerStatuses"] = json!([known]);
            for (key, value) in container.as_object().unwrap() {
                pod["status"]["containerStatuses"][0][key] = value.clone();
            }
            Outcome::Pod(Arc::new(serde_json::from_value(pod).unwrap()))
        };
        let running = |id: &str, ready| changed(json!({"containerID": id, "state": {"running": {}}}), ready);
        let mut sandbox = sandbox(json!({}));
        let warm = play(&mut sandbox, &[pod("Running", true)]);
        assert_eq!(warm.image, None);
        sandbox.spec.inplace_update = Some(silica_api::crd::InplaceUpdate {
            image: Some("v2".to_owned()),
        });

        let asked = play(&mut sandbox, &[running("c1", true)]);
        assert_eq!(ready(&asked).1, condition::IMAGE_CHANGING);
        assert_eq!(
            (asked.phase, asked.image.as_deref()),
            (Some(Phase::Running), None)
        );
        assert_eq!(news(Some(&warm), &asked), None);

        let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
        let failed = play(
            &mut sandbox,
            &[changed(json!({"containerID": "c1", "state": waiting}), false)],
        );
        assert_eq!(ready(&failed).1, condition::START_CONTAINER_FAILED);
        assert!(
            failed
                .message
                .as_deref()
                .unwrap()
                .contains("ErrImagePull: not found")
        );
        assert!(news(Some(&asked), &failed).is_some());

        let started = play(&mut sandbox, &[running("c2", false)]);
        assert_eq!((ready(&started).0, started.image), (ConditionStatus::False, None));
        let done = play(&mut sandbox, &[running("c2", true)]);
        assert_eq!(ready(&done), (ConditionStatus::True, condition::POD_READY, ""));
        assert_eq!((done.image.as_deref(), done.message), (Some("v2"), None));

        // The cached pod has no image any more, and none is needed.
        let later = play(&mut sandbox, &[pod("Running", false), pod("Running", true)]);
        assert_eq!(
            (ready(&later).0, later.image.as_deref()),
            (ConditionStatus::True, Some("v2"))
        );
        sandbox.spec.inplace_update = None;
        assert_eq!(play(&mut sandbox, &[pod("Running", true)]).image, None);
    }

    #[test]
    fn a_pause_ends_with_the_pod_and_a_resume_with_a_ready_pod() {
        let mut sandbox = sandbox(json!({"paused": true}));
        let pausing = play(&mut sandbox, &[Outcome::Pausing, leaving(pod("Running", true))]);
        assert_eq!(pausing.phase, Some(Phase::Paused));
        let paused = play(&mut sandbox, &[Outcome::NoPod]);
        let kinds: Vec<_> = paused
            .conditions
            .iter()
            .map(|condition| (condition.kind.as_str(), condition.status))
            .collect();
        assert_eq!(
            kinds,
            [
                ("Ready", ConditionStatus::False),
                ("SandboxPaused", ConditionStatus::True)
            ]
        );
        assert_eq!((paused.pod_info, paused.sandbox_ip), (None, None));

        sandbox.spec.paused = Some(false);
        assert_eq!(
            play(&mut sandbox, &[pod("Pending", false)]).phase,
            Some(Phase::Resuming)
        );
        let resumed = play(&mut sandbox, &[pod("Running", true)]);
        assert_eq!(resumed.phase, Some(Phase::Running));
        let kinds: Vec<_> = resumed
            .conditions
            .iter()
            .map(|condition| (condition.kind.as_str(), condition.status))
            .collect();
        assert_eq!(
            kinds,
            [
                ("Ready", ConditionStatus::True),
                ("SandboxResumed", ConditionStatus::True)
            ]
        );
    }

    #[test]
    fn a_resume_during_the_pause_waits_for_the_old_pod() {
        let mut sandbox = sandbox(json!({"paused": true}));
        play(&mut sandbox, &[Outcome::Pausing]);
        sandbox.spec.paused = Some(false);
        let status = play(&mut sandbox, &[leaving(pod("Running", true))]);
        assert_eq!(
            status.phase,
            Some(Phase::Paused),
            "the old pod must not count as the new one"
        );
    }
}
