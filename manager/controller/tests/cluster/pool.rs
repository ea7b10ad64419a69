//! Pools: filled, refilled, shrunk, replaced, and what stops none of them.

use std::time::{Duration, Instant};

use serde_json::json;
use silica_api::crd::{ConditionStatus, Phase, SandboxSet, condition};

use crate::harness::{Harness, Kubelet};

pub(super) async fn fills_refills_and_shrinks(harness: &mut Harness) {
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
pub(super) async fn survives_being_killed_while_creating(harness: &mut Harness) {
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

pub(super) async fn replaces_members_of_an_old_template(harness: &mut Harness) {
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

pub(super) async fn a_failing_template_does_not_run_hot(harness: &mut Harness) {
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

pub(super) async fn a_malformed_object_stops_nobody(harness: &mut Harness) {
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
