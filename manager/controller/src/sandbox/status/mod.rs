//! Computes the status of a Sandbox from what was seen and done; no IO.

mod conditions;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use silica_api::{
    crd::{Phase, PodInfo, Sandbox, SandboxStatus, condition},
    labels,
};

pub(crate) use conditions::Conditions;

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
        container_id: image::container_id(pod).cloned(),
    });
}

#[cfg(test)]
mod tests;
