//! The controller against a real API server, named by the kubeconfig in
//! `SILICA_TEST_KUBECONFIG`.
//!
//! The pods name a scheduler that does not exist, so no kubelet takes them, and
//! the test plays the kubelet: it decides when a pod is ready, fails or hangs.
//! That makes the order of events certain, and needs no image and no node.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::{Duration, Instant};

use harness::{Harness, Installed, Kubelet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use silica_api::{
    crd::{ConditionStatus, Phase, Sandbox, SandboxSet, condition},
    labels, names,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controller_on_a_real_api_server() {
    let Some(mut harness) = Harness::connect("controller-test").await else {
        return;
    };
    fills_refills_and_shrinks(&mut harness).await;
    survives_being_killed_while_creating(&mut harness).await;
    replaces_members_of_an_old_template(&mut harness).await;
    a_failing_template_does_not_run_hot(&mut harness).await;
    a_malformed_object_stops_nobody(&mut harness).await;
    sandbox_ends_at_its_shutdown_time(&mut harness).await;
    lost_pod_is_a_failure_and_a_foreign_pod_is_left_alone(&mut harness).await;
    pause_and_resume(&mut harness).await;
    Box::pin(an_image_is_changed_in_the_running_pod(&mut harness)).await;
    a_certificate_near_its_end_is_renewed(&harness).await;
    a_certificate_follows_its_ca_and_trust_comes_first(&harness).await;
    renewals_are_kept_apart_when_something_else_writes(&harness).await;
    a_foreign_certificate_is_left_alone(&harness).await;
    a_ca_near_its_end_is_followed_by_another_one(&harness).await;
    a_released_lease_is_taken_over_at_once(&mut harness).await;
    harness.clean_up().await;
}

async fn fills_refills_and_shrinks(harness: &mut Harness) {
    harness.start("first");
    harness.kubelet(Kubelet::Ready);
    harness.create_set("pool", json!({"replicas": 5}), "v1").await;
    let set = harness
        .wait_set("pool", "full", |status| status.available_replicas == 5)
        .await;
    assert_eq!(set.status.unwrap().replicas, 5);

    // A claim, as the manager makes it, leaves the pool and is refilled.
    let claimed = harness.members("pool").await.remove(0);
    let start = Instant::now();
    harness.claim(&claimed).await;
    harness.wait_unused("pool", 5, &claimed).await;
    println!("refilled {} ms after the claim", start.elapsed().as_millis());
    harness
        .wait_set("pool", "full again", |status| status.available_replicas == 5)
        .await;

    // Scaling down through the scale subresource spares the claimed one.
    harness.scale("pool", 2).await;
    harness
        .wait_set("pool", "smaller", |status| {
            status.replicas == 2 && status.available_replicas == 2
        })
        .await;
    assert_eq!(harness.members("pool").await.len(), 3);
    assert!(
        harness.sandbox(&claimed).await.is_some(),
        "a claimed sandbox was scaled down"
    );

    // A deleted set creates no more, and does not take the claimed one along.
    harness.delete_set("pool").await;
    assert!(harness.sandbox(&claimed).await.is_some());
}

/// Kills the controller at many moments of a big fill; no matter when, the pool
/// ends with exactly its size.
async fn survives_being_killed_while_creating(harness: &mut Harness) {
    harness.create_set("many", json!({"replicas": 60}), "v1").await;
    for round in 0..6 {
        tokio::time::sleep(Duration::from_millis(20 + 15 * round)).await;
        // The same name again, as of a restarted container: leads at once.
        harness.kill();
        harness.start("first");
    }
    let set = harness
        .wait_set("many", "full", |status| status.available_replicas == 60)
        .await;
    assert_eq!(set.status.unwrap().replicas, 60);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(harness.members("many").await.len(), 60);
    harness.delete_set("many").await;
}

async fn replaces_members_of_an_old_template(harness: &mut Harness) {
    harness.create_set("rolling", json!({"replicas": 5}), "v1").await;
    let before = harness
        .wait_set("rolling", "full", |status| status.available_replicas == 5)
        .await;
    let claimed = harness.members("rolling").await.remove(0);
    harness.claim(&claimed).await;
    // The status may still be the one from before the claim.
    harness.wait_unused("rolling", 5, &claimed).await;
    harness
        .wait_set("rolling", "full", |status| status.available_replicas == 5)
        .await;
    let watch = harness.least_available("rolling");
    harness.change_template("rolling", "v2").await;
    let after = harness
        .wait_set("rolling", "updated", |status| {
            status.updated_available_replicas == 5 && status.replicas == 5
        })
        .await;
    let revision = |set: SandboxSet| set.status.unwrap().update_revision;
    assert_ne!(revision(before), revision(after));
    // One of five may be missing: 20%.
    assert!(
        watch.stop().await >= 4,
        "too many sandboxes were replaced at a time"
    );
    let claimed = harness
        .sandbox(&claimed)
        .await
        .expect("a claimed sandbox was replaced");
    assert_eq!(
        claimed.spec.template.unwrap().0["spec"]["containers"][0]["image"],
        "v1"
    );
    harness.delete_set("rolling").await;
}

async fn a_failing_template_does_not_run_hot(harness: &mut Harness) {
    harness.kubelet(Kubelet::Fail);
    harness.create_set("broken", json!({"replicas": 3}), "v1").await;
    let set = harness
        .wait_set("broken", "failing", |status| !status.conditions.is_empty())
        .await;
    let condition = set.status.unwrap().conditions.remove(0);
    assert_eq!(
        (condition.kind.as_str(), condition.status),
        (condition::REPLICA_FAILURE, ConditionStatus::True)
    );
    let before = harness.metric("sandboxset_sandboxes_created_total");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let made = harness.metric("sandboxset_sandboxes_created_total") - before;
    assert!(made <= 9, "{made} sandboxes of a failing template in 5 s");
    harness.kubelet(Kubelet::Ready);
    harness
        .wait_set("broken", "healed", |status| {
            status.available_replicas == 3 && status.conditions.is_empty()
        })
        .await;
    harness.delete_set("broken").await;
}

async fn a_malformed_object_stops_nobody(harness: &mut Harness) {
    // Valid by the schema, unreadable as a pod template and as a claim.
    let template = json!({"spec": {"containers": [{"name": 5}]}});
    harness
        .create_sandbox("malformed", json!({"template": template}))
        .await;
    let sandbox = harness
        .wait_ready_reason("malformed", condition::INVALID_TEMPLATE)
        .await;
    assert!(
        sandbox
            .status
            .unwrap()
            .message
            .unwrap()
            .contains("not a pod template")
    );
    let spec = json!({"template": Harness::template("v1"), "volumeClaimTemplates": [{"metadata": 7}]});
    harness.create_sandbox("bad-claim", spec).await;
    harness
        .wait_ready_reason("bad-claim", condition::INVALID_TEMPLATE)
        .await;
    harness
        .create_sandbox("good", json!({"template": Harness::template("v1")}))
        .await;
    harness.wait_phase("good", Phase::Running).await;
}

async fn sandbox_ends_at_its_shutdown_time(harness: &mut Harness) {
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

async fn lost_pod_is_a_failure_and_a_foreign_pod_is_left_alone(harness: &mut Harness) {
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

async fn pause_and_resume(harness: &mut Harness) {
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

async fn an_image_is_changed_in_the_running_pod(harness: &mut Harness) {
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

async fn a_certificate_near_its_end_is_renewed(harness: &Harness) {
    let authority = Installed::authority();
    harness.write_bundle("").await;
    harness.write_authority(&authority).await;
    let old = Installed::near_its_end(&authority, 10);
    let start = Instant::now();
    harness.write_leaf(&old, true).await;
    let new = harness.wait_other_leaf(&old).await;
    println!(
        "renewed {} ms after the Secret was written",
        start.elapsed().as_millis()
    );
    assert!(start.elapsed() < Duration::from_secs(5));

    assert_eq!(new.names(), old.names());
    assert_ne!(new.key, old.key);
    new.verify(authority.certificate_pem());
    assert_eq!(new.authority, authority.certificate_pem());
    harness.wait_bundle(&[&authority]).await;
    assert_eq!(harness.metric("silica_certificate_renewals_total"), 1);
    assert_eq!(harness.metric("silica_certificate_renewal_failures_total"), 0);
    harness.wait_event("CertificateRenewed").await;

    // Fresh now: whatever else happens to it, it is not renewed again.
    let labels = json!({"metadata": {"labels": {"touched": "yes"}}});
    harness.patch_leaf(&labels).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(harness.leaf().await.fingerprint(), new.fingerprint());
    let ends = harness.metric("silica_certificate_not_after_seconds");
    assert_eq!(ends, new.end() + Installed::end_of(&authority));
}

async fn a_certificate_follows_its_ca_and_trust_comes_first(harness: &Harness) {
    let former = harness.leaf().await;
    let successor = Installed::authority();
    let start = Instant::now();
    harness.write_authority(&successor).await;
    let new = harness.wait_other_leaf(&former).await;
    println!(
        "re-issued {} ms after the CA changed",
        start.elapsed().as_millis()
    );
    assert_eq!(new.names(), former.names());
    new.verify(successor.certificate_pem());
    // The former CA stays for those that still meet its certificate.
    let bundle = harness.bundle().await;
    assert!(bundle.contains(&former.authority) && bundle.contains(successor.certificate_pem()));
    assert_eq!(harness.metric("silica_certificate_renewals_total"), 2);
}

async fn renewals_are_kept_apart_when_something_else_writes(harness: &Harness) {
    let old = Installed::near_its_end(&harness.authority().await, 10);
    let start = Instant::now();
    for _ in 0..2 {
        harness.write_leaf(&old, true).await;
        harness.wait_other_leaf(&old).await;
    }
    // The second of them waited, after the two renewals before.
    println!("renewed twice more in {} ms", start.elapsed().as_millis());
    assert!(start.elapsed() > Duration::from_secs(5));
    harness.wait_event("CertificateContended").await;
    assert_eq!(harness.metric("silica_certificate_renewals_total"), 4);
}

async fn a_foreign_certificate_is_left_alone(harness: &Harness) {
    let current = harness.authority().await;
    let unknown = Installed::authority();
    let cases = [
        (Installed::near_its_end(&current, 8), false),
        (Installed::near_its_end(&unknown, 9), true),
    ];
    for (foreign, is_labelled) in cases {
        harness.write_leaf(&foreign, is_labelled).await;
        // The metric follows when the controller has looked at it.
        let ends = foreign.end() + Installed::end_of(&current);
        harness
            .wait_metric("silica_certificate_not_after_seconds", ends)
            .await;
        harness.wait_event("CertificateEnding").await;
        assert_eq!(harness.leaf().await.fingerprint(), foreign.fingerprint());
    }
    assert_eq!(harness.metric("silica_certificate_renewals_total"), 4);
}

/// Prepare, spread, switch, soak and retire, without anybody's word; clients with
/// the bundle of any moment before the end can follow.
async fn a_ca_near_its_end_is_followed_by_another_one(harness: &Harness) {
    let former = Installed::authority_for(30);
    harness.write_bundle(former.certificate_pem()).await;
    // Cut short by the end of its CA.
    let leaf = Installed::near_its_end(&former, 60 * 24 * 90);
    harness.write_leaf(&leaf, true).await;
    let start = Instant::now();
    harness.write_authority(&former).await;

    let behind_cross = harness.wait_other_leaf(&leaf).await;
    let both = harness.bundle().await;
    println!("switched after {} ms", start.elapsed().as_millis());
    for roots in [former.certificate_pem(), &behind_cross.authority, &both] {
        behind_cross.verify(roots);
    }
    harness.wait_metric("silica_ca_rotation_phase", 3).await;
    harness.wait_metric("silica_ca_rotations_total", 1).await;
    println!("replaced after {} ms", start.elapsed().as_millis());
    let current = harness.authority().await;
    assert_eq!(current.certificate_pem(), behind_cross.authority);
    harness.wait_bundle(&[&current]).await;
    let alone = harness.leaf().await;
    alone.verify(&both);
    assert_eq!(
        alone.chain.matches("BEGIN").count(),
        1,
        "the cross certificate is gone"
    );
    assert!(harness.find_next().await.is_none());
    harness
        .wait_event_about(names::CA_SECRET, "CertificateAuthorityReplaced")
        .await;

    // A CA with ten years left is not followed by a third one.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        harness.authority().await.certificate_pem(),
        current.certificate_pem()
    );
    assert_eq!(harness.metric("silica_ca_rotations_total"), 1);
    assert_eq!(harness.metric("silica_ca_rotation_failures_total"), 0);
}

async fn a_released_lease_is_taken_over_at_once(harness: &mut Harness) {
    let mut standby = harness.standby("second").await;
    assert!(!standby.health().is_leading() && standby.health().is_ready());
    let start = Instant::now();
    harness.stop().await;
    standby.wait_leading().await;
    println!("handed over in {} ms", start.elapsed().as_millis());
    assert!(start.elapsed() < Duration::from_secs(2));
    harness
        .create_sandbox("after", json!({"template": Harness::template("v1")}))
        .await;
    harness.wait_phase("after", Phase::Running).await;
    standby.stop().await;
}
