//! Single sandboxes: their end, their pod, pauses and images.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use silica_api::{
    crd::{Phase, Sandbox, condition},
    labels,
};

use crate::harness::{Harness, Kubelet};

pub(super) async fn sandbox_ends_at_its_shutdown_time(harness: &mut Harness) {
    let now = jiff::Timestamp::now();
    let soon = now + Duration::from_secs(2);
    let spec = |time: jiff::Timestamp| json!({"template": Harness::template("v1"), "shutdownTime": time.to_string()});
    harness.create_sandbox("late", spec(soon)).await;
    harness.create_sandbox("extended", spec(soon)).await;
    harness
        .create_sandbox("past", spec(now - Duration::from_mins(1)))
        .await;
    harness.wait_phase("late", Phase::Running).await;
    harness
        .patch_sandbox(
            "extended",
            json!({"spec": {"shutdownTime": (now + Duration::from_hours(1)).to_string()}}),
        )
        .await;
    harness.wait_gone::<Sandbox>("past").await;
    harness.wait_gone::<Sandbox>("late").await;
    let late = jiff::Timestamp::now().duration_since(soon);
    println!("deleted {} ms after the shutdown time", late.as_millis());
    assert!(late.as_millis() >= -1000 && late.as_millis() < 1000);
    harness.wait_gone::<Pod>("late").await;
    assert!(harness.sandbox("extended").await.is_some());
}

pub(super) async fn lost_pod_is_a_failure_and_a_foreign_pod_is_left_alone(harness: &mut Harness) {
    harness
        .create_sandbox("lost", json!({"template": Harness::template("v1")}))
        .await;
    harness.wait_phase("lost", Phase::Running).await;
    harness.delete_pod("lost").await;
    let lost = harness.wait_phase("lost", Phase::Failed).await;
    assert!(lost.status.unwrap().message.unwrap().contains("vanished"));

    harness.create_foreign_pod("taken").await;
    harness
        .create_sandbox("taken", json!({"template": Harness::template("v1")}))
        .await;
    harness
        .wait_ready_reason("taken", condition::POD_OWNER_MISMATCH)
        .await;
    // As soon as the name is free the sandbox gets its pod.
    harness.delete_pod("taken").await;
    harness.wait_phase("taken", Phase::Running).await;
}

pub(super) async fn pause_and_resume(harness: &mut Harness) {
    harness
        .create_sandbox("napping", json!({"template": Harness::template("v1")}))
        .await;
    harness.wait_phase("napping", Phase::Running).await;
    harness
        .patch_sandbox("napping", json!({"spec": {"paused": true}}))
        .await;
    harness.wait_gone::<Pod>("napping").await;
    let paused = harness
        .wait_ready_reason("napping", condition::STOP_PAUSE_SUCCEEDED)
        .await;
    assert_eq!(paused.status.unwrap().phase, Some(Phase::Paused));
    harness
        .patch_sandbox("napping", json!({"spec": {"paused": false}}))
        .await;
    let resumed = harness.wait_phase("napping", Phase::Running).await;
    let mut pod = resumed.status.unwrap().pod_info.unwrap();
    assert!(pod.labels.remove(labels::TEMPLATE_HASH).is_some());
    assert_eq!(pod.container_id.as_deref(), Some("played://sandbox-0"));

    // At its time, which is gone then: the next one is for whoever resumes it to say.
    let soon = (jiff::Timestamp::now() + Duration::from_secs(1)).to_string();
    harness
        .patch_sandbox("napping", json!({"spec": {"pauseTime": soon}}))
        .await;
    let paused = harness
        .wait_ready_reason("napping", condition::STOP_PAUSE_SUCCEEDED)
        .await;
    assert_eq!((paused.spec.paused, paused.spec.pause_time), (Some(true), None));
    harness
        .patch_sandbox("napping", json!({"spec": {"paused": false}}))
        .await;
    harness.wait_phase("napping", Phase::Running).await;
}

pub(super) async fn an_image_is_changed_in_the_running_pod(harness: &mut Harness) {
    let name = "other-image";
    harness
        .create_sandbox(name, json!({"template": Harness::template("v1")}))
        .await;
    harness.wait_phase(name, Phase::Running).await;
    let ask = |image: &str| json!({"spec": {"inplaceUpdate": {"image": image}}});
    let before = harness.pod(name).await;

    // The image that it has: the pod stays untouched.
    harness.patch_sandbox(name, ask("v1")).await;
    harness.wait_image(name, "v1").await;
    let same = harness.pod(name).await;
    assert_eq!(same.metadata.resource_version, before.metadata.resource_version);

    harness.kubelet(Kubelet::Idle);
    harness.patch_sandbox(name, ask("v2")).await;
    let changing = harness.wait_ready_reason(name, condition::IMAGE_CHANGING).await;
    assert_eq!(
        changing.status.as_ref().unwrap().observed_generation,
        changing.metadata.generation
    );
    assert_eq!(changing.status.unwrap().image, None);
    harness.kubelet(Kubelet::Ready);
    harness.touch_pod(name).await;
    let changed = harness.wait_image(name, "v2").await;
    let pod = changed.status.unwrap().pod_info.unwrap();
    assert_eq!(pod.container_id.as_deref(), Some("played://sandbox-1"));
    let after = harness.pod(name).await;
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_eq!(after.spec.unwrap().containers[0].image.as_deref(), Some("v2"));
    let container = after.status.unwrap().container_statuses.unwrap().remove(0);
    assert_eq!(container.restart_count, 1);

    let start = Instant::now();
    harness.patch_sandbox(name, ask(Kubelet::MISSING_IMAGE)).await;
    let stuck = harness
        .wait_ready_reason(name, condition::START_CONTAINER_FAILED)
        .await
        .status
        .unwrap();
    assert_eq!(stuck.phase, Some(Phase::Running));
    assert!(stuck.message.unwrap().contains("ErrImagePull: not found"));
    harness.patch_sandbox(name, ask("v3")).await;
    harness.wait_image(name, "v3").await;
    println!(
        "changed to a missing image and away from it in {} ms",
        start.elapsed().as_millis()
    );

    // A new pod has the image from the start.
    harness
        .patch_sandbox(name, json!({"spec": {"paused": true}}))
        .await;
    harness.wait_gone::<Pod>(name).await;
    harness
        .wait_ready_reason(name, condition::STOP_PAUSE_SUCCEEDED)
        .await;
    harness
        .patch_sandbox(name, json!({"spec": {"paused": false}}))
        .await;
    harness.wait_phase(name, Phase::Running).await;
    let resumed = harness.pod(name).await;
    assert_ne!(resumed.metadata.uid, before.metadata.uid);
    assert_eq!(resumed.spec.unwrap().containers[0].image.as_deref(), Some("v3"));

    // A sandbox that is made for a claim, from a template that others share.
    let template = json!({"template": Harness::template("v1")});
    harness.create_shared_template("shared", template).await;
    let spec = json!({"templateRef": {"name": "shared"}, "inplaceUpdate": {"image": "v4"}});
    harness.create_sandbox("born-with-image", spec).await;
    harness.wait_image("born-with-image", "v4").await;
    let born = harness.pod("born-with-image").await;
    let container = born.status.unwrap().container_statuses.unwrap().remove(0);
    assert_eq!((container.image.as_str(), container.restart_count), ("v4", 0));
}
