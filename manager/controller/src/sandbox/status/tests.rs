//! The status that follows from what was seen and done.

#![expect(
    clippy::needless_pass_by_value,
    reason = "literals read better than references to them"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use silica_api::crd::ConditionStatus;

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

#[test]
fn a_restart_of_the_main_container_shows_in_the_status() {
    let with = |id: &str, ready| {
        let Outcome::Pod(pod) = pod("Running", ready) else {
            unreachable!()
        };
        let mut pod = Arc::unwrap_or_clone(pod);
        let container = json!({"name": "sandbox", "image": "i", "imageID": "", "ready": ready, "restartCount": 0,
            "containerID": id});
        let statuses = pod.status.as_mut().unwrap();
        statuses.container_statuses = Some(vec![serde_json::from_value(container).unwrap()]);
        Outcome::Pod(Arc::new(pod))
    };
    let mut sandbox = sandbox(json!({}));
    let mut container = |outcome| play(&mut sandbox, &[outcome]).pod_info.unwrap().container_id;
    assert_eq!(container(pod("Pending", false)), None);
    assert_eq!(container(with("c1", true)).as_deref(), Some("c1"));
    assert_eq!(container(with("c2", false)).as_deref(), Some("c2"));
}
