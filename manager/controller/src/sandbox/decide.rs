//! Decides the one next step for a Sandbox; no IO, the clock is an argument.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use silica_api::crd::{Phase, Sandbox};

use super::{
    image::{self, Progress},
    observe::Seen,
};

/// What to do next. Whatever it is, the status is computed afterwards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Delete the Sandbox: its shutdown time has come.
    Expire,
    /// Set `spec.paused`: its pause time has come.
    RequestPause,
    /// Record that a pause began, so that the pod's end is not taken for a failure.
    BeginPause,
    /// Delete the pod.
    DeletePod,
    /// Create the pod.
    CreatePod,
    /// Give the pod's main container the image that is wanted.
    ChangeImage,
    /// The recorded pod vanished.
    RecordLoss,
    /// Nothing but the status.
    Track,
}

/// The next step.
pub(crate) fn step(sandbox: &Sandbox, seen: &Seen, now: Timestamp) -> Step {
    let status = sandbox.status.as_ref();
    let phase = status.and_then(|status| status.phase);
    let own_pod = match seen {
        Seen::Own(pod) => Some(pod.as_ref()),
        Seen::Absent | Seen::Foreign { .. } => None,
    };

    if sandbox.metadata.deletion_timestamp.is_some() {
        return if own_pod.is_some_and(|pod| !is_leaving(pod)) {
            Step::DeletePod
        } else {
            Step::Track
        };
    }
    if is_due(sandbox.spec.shutdown_time.as_ref(), now) {
        return Step::Expire;
    }
    if matches!(phase, Some(Phase::Succeeded | Phase::Failed)) {
        return Step::Track;
    }
    if sandbox.spec.paused == Some(true) {
        return match own_pod {
            Some(_) if phase != Some(Phase::Paused) => Step::BeginPause,
            Some(pod) if !is_leaving(pod) => Step::DeletePod,
            _ => Step::Track,
        };
    }
    if is_due(sandbox.spec.pause_time.as_ref(), now) {
        return Step::RequestPause;
    }
    let recorded = status.is_some_and(|status| status.pod_info.is_some());
    match seen {
        Seen::Own(pod) if needs_image(sandbox, pod) => Step::ChangeImage,
        Seen::Own(_) | Seen::Foreign { .. } => Step::Track,
        Seen::Absent if recorded && phase != Some(Phase::Paused) => Step::RecordLoss,
        Seen::Absent => Step::CreatePod,
    }
}

/// Time until the next deadline of a living Sandbox.
pub(crate) fn until_deadline(sandbox: &Sandbox, now: Timestamp) -> Option<Duration> {
    if sandbox.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let pause = sandbox
        .spec
        .pause_time
        .as_ref()
        .filter(|_| sandbox.spec.paused != Some(true));
    [sandbox.spec.shutdown_time.as_ref(), pause]
        .into_iter()
        .flatten()
        .map(|time| Duration::try_from(now.duration_until(time.0)).unwrap_or(Duration::ZERO))
        .min()
}

/// Whether the pod has another image than the one that is wanted, and can have it.
fn needs_image(sandbox: &Sandbox, pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_over = is_leaving(pod) || matches!(phase, Some("Succeeded" | "Failed"));
    !is_over
        && image::pending(sandbox).is_some_and(|wanted| image::progress(pod, wanted) == Progress::Differs)
}

/// Whether the pod is being deleted.
pub(crate) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

fn is_due(time: Option<&Time>, now: Timestamp) -> bool {
    time.is_some_and(|time| time.0 <= now)
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "literals read better than references to them"
)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-01T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn sandbox(spec: Value, status: Value) -> Sandbox {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a", "namespace": "ns", "uid": "u"}, "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn pod(leaving: bool) -> Seen {
        let mut pod = Pod::default();
        pod.metadata.deletion_timestamp = leaving.then(|| Time(now()));
        Seen::Own(Arc::new(pod))
    }

    fn check(spec: Value, status: Value, seen: &Seen, expected: Step) {
        let sandbox = sandbox(spec.clone(), status.clone());
        assert_eq!(
            step(&sandbox, seen, now()),
            expected,
            "spec {spec} status {status} seen {seen:?}"
        );
    }

    #[test]
    fn a_new_sandbox_gets_a_pod_once() {
        check(json!({}), json!({}), &Seen::Absent, Step::CreatePod);
        check(json!({}), json!({}), &pod(false), Step::Track);
        check(
            json!({}),
            json!({"phase": "Pending"}),
            &Seen::Absent,
            Step::CreatePod,
        );
    }

    #[test]
    fn a_pod_that_was_seen_and_vanished_is_a_loss() {
        for phase in ["Pending", "Running", "Resuming"] {
            check(
                json!({}),
                json!({"phase": phase, "podInfo": {"podUID": "p"}}),
                &Seen::Absent,
                Step::RecordLoss,
            );
        }
    }

    #[test]
    fn terminal_phases_stay_and_their_pod_is_left_for_inspection() {
        for phase in ["Succeeded", "Failed"] {
            for seen in [Seen::Absent, pod(false)] {
                check(json!({}), json!({"phase": phase}), &seen, Step::Track);
            }
        }
    }

    #[test]
    fn a_foreign_pod_is_never_touched() {
        let foreign = Seen::Foreign {
            owner: "x".to_owned(),
        };
        check(json!({}), json!({}), &foreign, Step::Track);
        check(
            json!({"paused": true}),
            json!({"phase": "Running"}),
            &foreign,
            Step::Track,
        );
    }

    #[test]
    fn the_shutdown_time_wins_over_everything_but_a_deletion() {
        let past = json!({"shutdownTime": "2026-01-01T11:59:59Z", "paused": true});
        for phase in ["Pending", "Running", "Paused", "Failed"] {
            check(past.clone(), json!({"phase": phase}), &pod(false), Step::Expire);
        }
        check(
            json!({"shutdownTime": NOW}),
            json!({}),
            &Seen::Absent,
            Step::Expire,
        );
        check(
            json!({"shutdownTime": "2026-01-01T12:00:01Z"}),
            json!({}),
            &Seen::Absent,
            Step::CreatePod,
        );
    }

    #[test]
    fn a_deleted_sandbox_loses_its_pod_and_gets_no_new_one() {
        let mut deleted = sandbox(json!({}), json!({}));
        deleted.metadata.deletion_timestamp = Some(Time(now()));
        assert_eq!(step(&deleted, &pod(false), now()), Step::DeletePod);
        assert_eq!(step(&deleted, &pod(true), now()), Step::Track);
        assert_eq!(step(&deleted, &Seen::Absent, now()), Step::Track);
        assert_eq!(until_deadline(&deleted, now()), None);
    }

    #[test]
    fn a_pause_is_recorded_before_the_pod_goes() {
        let paused = json!({"paused": true});
        check(
            paused.clone(),
            json!({"phase": "Running"}),
            &pod(false),
            Step::BeginPause,
        );
        check(
            paused.clone(),
            json!({"phase": "Paused"}),
            &pod(false),
            Step::DeletePod,
        );
        check(
            paused.clone(),
            json!({"phase": "Paused"}),
            &pod(true),
            Step::Track,
        );
        check(paused, json!({"phase": "Paused"}), &Seen::Absent, Step::Track);
    }

    #[test]
    fn a_resumed_sandbox_waits_for_the_old_pod_and_gets_a_new_one() {
        let status = json!({"phase": "Paused", "podInfo": {"podUID": "old"}});
        check(json!({"paused": false}), status.clone(), &pod(true), Step::Track);
        check(json!({"paused": false}), status, &Seen::Absent, Step::CreatePod);
    }

    #[test]
    fn a_pod_of_another_image_than_the_wanted_one_is_changed_while_it_lives() {
        let of_image = |leaving: bool, phase: &str| {
            let mut pod: Pod = serde_json::from_value(json!({
                "metadata": {}, "status": {"phase": phase},
                "spec": {"containers": [{"name": "sandbox", "image": "v1"}]},
            }))
            .unwrap();
            pod.metadata.deletion_timestamp = leaving.then(|| Time(now()));
            Seen::Own(Arc::new(pod))
        };
        let asks = |image: &str| json!({"inplaceUpdate": {"image": image}});
        let running = json!({"phase": "Running"});
        check(
            asks("v2"),
            running.clone(),
            &of_image(false, "Running"),
            Step::ChangeImage,
        );
        check(
            asks("v2"),
            json!({}),
            &of_image(false, "Pending"),
            Step::ChangeImage,
        );
        check(
            asks("v1"),
            running.clone(),
            &of_image(false, "Running"),
            Step::Track,
        );
        check(
            asks("v2"),
            json!({"phase": "Running", "image": "v2"}),
            &pod(false),
            Step::Track,
        );
        check(
            asks("v2"),
            running.clone(),
            &of_image(true, "Running"),
            Step::Track,
        );
        check(
            asks("v2"),
            running.clone(),
            &of_image(false, "Failed"),
            Step::Track,
        );
        let paused = json!({"paused": true, "inplaceUpdate": {"image": "v2"}});
        check(paused, running, &of_image(false, "Running"), Step::BeginPause);
    }

    #[test]
    fn the_pause_time_asks_for_a_pause_once() {
        let due = json!({"pauseTime": NOW});
        check(due, json!({"phase": "Running"}), &pod(false), Step::RequestPause);
        let asked = json!({"pauseTime": NOW, "paused": true});
        check(
            asked.clone(),
            json!({"phase": "Running"}),
            &pod(false),
            Step::BeginPause,
        );
        assert_eq!(until_deadline(&sandbox(asked, json!({})), now()), None);
    }

    #[test]
    fn the_nearest_deadline_counts_and_a_past_one_is_now() {
        let both = json!({"shutdownTime": "2026-01-01T13:00:00Z", "pauseTime": "2026-01-01T12:00:10Z"});
        assert_eq!(
            until_deadline(&sandbox(both, json!({})), now()),
            Some(Duration::from_secs(10))
        );
        let past = json!({"shutdownTime": "2020-01-01T00:00:00Z"});
        assert_eq!(
            until_deadline(&sandbox(past, json!({})), now()),
            Some(Duration::ZERO)
        );
        assert_eq!(until_deadline(&sandbox(json!({}), json!({})), now()), None);
    }
}
