//! SandboxClaims on the real API server of `SILICA_TEST_KUBECONFIG`; the kubelet is played,
//! as in the test `cluster`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::{Duration, Instant};

use harness::{Harness, Kubelet};
use kube::ResourceExt;
use serde_json::json;
use silica_api::{
    crd::{Sandbox, SandboxClaim, SandboxClaimStatus, condition},
    labels,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_on_a_real_api_server() {
    let Some(mut harness) = Harness::connect("claims-test").await else {
        return;
    };
    harness.start("first");
    harness.kubelet(Kubelet::Ready);
    takes_what_it_asks_for_out_of_a_pool(&harness).await;
    a_lost_status_is_counted_anew(&harness).await;
    waits_for_a_pool_and_gives_up_in_time(&harness).await;
    makes_what_the_pool_lacks(&harness).await;
    says_at_once_what_cannot_be_done(&harness).await;
    changes_the_image_of_what_it_takes(&harness).await;
    sandboxes_that_fail_are_given_up(&harness).await;
    mounts_volumes_of_its_own_namespace_alone(&harness).await;
    a_completed_claim_goes_and_its_sandboxes_stay(&harness).await;
    survives_being_killed_while_claiming(&mut harness).await;
    harness.clean_up().await;
}

async fn takes_what_it_asks_for_out_of_a_pool(harness: &Harness) {
    harness.create_set("pool", json!({"replicas": 7}), "v1").await;
    harness
        .wait_set("pool", "full", |status| status.available_replicas == 7)
        .await;
    let end = (jiff::Timestamp::now() + Duration::from_hours(1)).as_second();
    let end = jiff::Timestamp::from_second(end).unwrap();
    let start = Instant::now();
    harness
        .create_claim(
            "seven",
            json!({
                "templateName": "pool", "replicas": 7, "createOnNoStock": false,
                "labels": {"batch": "a"}, "annotations": {"example.com/note": "b"}, "shutdownTime": end.to_string(),
            }),
        )
        .await;
    let (status, reason) = harness.wait_completed("seven").await;
    println!("claimed 7 sandboxes in {} ms", start.elapsed().as_millis());
    assert_eq!(reason, condition::ALL_REPLICAS_CLAIMED);
    assert_eq!((status.claimed_replicas, status.failed_replicas), (7, 0));
    assert!(status.pending.is_empty());

    let claimed = harness.claimed_by("seven").await;
    let mut names = status.sandboxes.clone();
    names.sort();
    assert_eq!(
        claimed.iter().map(ResourceExt::name_any).collect::<Vec<_>>(),
        names
    );
    let uid = harness
        .wait_claim("seven", "there", |_| true)
        .await
        .uid()
        .unwrap();
    for sandbox in &claimed {
        assert!(sandbox.owner_references().is_empty());
        assert_eq!(sandbox.labels()[labels::CLAIMED], "true");
        assert_eq!(sandbox.labels()["batch"], "a");
        assert_eq!(sandbox.annotations()[labels::OWNER], uid);
        assert_eq!(sandbox.annotations()["example.com/note"], "b");
        assert_eq!(sandbox.spec.shutdown_time.as_ref().unwrap().0, end);
    }
    // The pool is filled again, beside them.
    harness
        .wait_set("pool", "full again", |status| status.available_replicas == 7)
        .await;
    let refused = harness
        .refused_claim_patch("seven", json!({"spec": {"replicas": 8}}))
        .await;
    assert!(refused.contains("spec.replicas cannot be changed"), "{refused}");
}

async fn a_lost_status_is_counted_anew(harness: &Harness) {
    let before = harness.claimed_by("seven").await;
    harness.lose_claim_status("seven").await;
    let (status, reason) = harness.wait_completed("seven").await;
    assert_eq!(
        (status.claimed_replicas, reason.as_str()),
        (7, condition::ALL_REPLICAS_CLAIMED)
    );
    assert_eq!(harness.claimed_by("seven").await.len(), before.len());
}

async fn waits_for_a_pool_and_gives_up_in_time(harness: &Harness) {
    harness.create_set("dry", json!({"replicas": 0}), "v1").await;
    let waiting = json!({"templateName": "dry", "createOnNoStock": false, "claimTimeout": "50s"});
    harness.create_claim("patient", waiting).await;
    harness
        .wait_claim("patient", "waiting", |status| {
            let message = status.message.as_deref().unwrap_or_default();
            message.contains("waiting for the pool")
        })
        .await;
    harness.scale("dry", 1).await;
    let (status, reason) = harness.wait_completed("patient").await;
    assert_eq!(
        (status.sandboxes.len(), reason.as_str()),
        (1, condition::ALL_REPLICAS_CLAIMED)
    );

    harness.scale("dry", 0).await;
    let start = Instant::now();
    let hasty = json!({"templateName": "dry", "replicas": 2, "createOnNoStock": false, "claimTimeout": "2s"});
    harness.create_claim("hasty", hasty).await;
    let (status, reason) = harness.wait_completed("hasty").await;
    assert_eq!(reason, condition::TIMEOUT_REACHED);
    let timed_out = status
        .conditions
        .iter()
        .find(|one| one.kind == condition::TIMED_OUT)
        .unwrap();
    assert_eq!(timed_out.reason, condition::CLAIM_TIMEOUT_REACHED);
    assert!(start.elapsed() >= Duration::from_secs(2) && start.elapsed() < Duration::from_secs(10));
}

async fn makes_what_the_pool_lacks(harness: &Harness) {
    let claim = json!({"templateName": "dry", "replicas": 3});
    harness.create_claim("made", claim).await;
    let (status, reason) = harness.wait_completed("made").await;
    assert_eq!(
        (status.sandboxes.len(), reason.as_str()),
        (3, condition::ALL_REPLICAS_CLAIMED)
    );
    for sandbox in harness.claimed_by("made").await {
        assert_eq!(sandbox.labels()[labels::POOL], "dry");
        assert!(sandbox.owner_references().is_empty());
    }
}

async fn says_at_once_what_cannot_be_done(harness: &Harness) {
    for (name, spec, expected, text) in [
        (
            "nowhere",
            json!({"templateName": "nowhere"}),
            condition::SANDBOX_SET_NOT_FOUND,
            "\"nowhere\" does not exist",
        ),
        (
            "bigger",
            json!({"templateName": "pool", "inplaceUpdate": {"resources": {"limits": {"cpu": 2, "memory": "1Gi"}}}}),
            condition::INVALID_SPEC,
            "spec.inplaceUpdate.resources is not supported",
        ),
    ] {
        harness.create_claim(name, spec).await;
        let (status, reason) = harness.wait_completed(name).await;
        assert_eq!(reason, expected);
        let message = status.message.unwrap();
        assert!(message.contains(text), "{message}");
        assert!(harness.claimed_by(name).await.is_empty());
    }
}

async fn changes_the_image_of_what_it_takes(harness: &Harness) {
    let claim = json!({"templateName": "pool", "replicas": 2, "inplaceUpdate": {"image": "v2"}});
    harness.create_claim("other-image", claim).await;
    let (status, reason) = harness.wait_completed("other-image").await;
    assert_eq!(reason, condition::ALL_REPLICAS_CLAIMED);
    for name in status.sandboxes {
        let pod = harness.pod(&name).await;
        assert_eq!(pod.spec.unwrap().containers[0].image.as_deref(), Some("v2"));
    }
}

async fn sandboxes_that_fail_are_given_up(harness: &Harness) {
    let image = json!({"image": Kubelet::MISSING_IMAGE});
    let claim = json!({"templateName": "pool", "replicas": 2, "inplaceUpdate": image});
    harness.create_claim("spoiled", claim).await;
    let (status, reason) = harness.wait_completed("spoiled").await;
    assert_eq!(
        (status.claimed_replicas, status.failed_replicas, reason.as_str()),
        (0, 1, condition::SANDBOXES_FAILED)
    );
    assert!(status.message.unwrap().contains("ErrImagePull"));

    let claim = json!({"templateName": "pool", "inplaceUpdate": image, "reserveFailedSandbox": true});
    harness.create_claim("kept", claim).await;
    harness.wait_completed("kept").await;
    let kept = harness.claimed_by("kept").await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].labels()[labels::RESERVED_FAILED], "true");
}

async fn mounts_volumes_of_its_own_namespace_alone(harness: &Harness) {
    let asking = |volume: &str| {
        let mount = json!({"pvName": volume, "mountPath": "/data", "subPath": "a", "readOnly": true});
        json!({"templateName": "pool", "createOnNoStock": false, "dynamicVolumesMount": [mount]})
    };
    harness.create_claim("refused", asking("no-volume")).await;
    let (status, reason) = harness.wait_completed("refused").await;
    assert_eq!(
        (status.failed_replicas, reason.as_str()),
        (1, condition::SANDBOXES_FAILED)
    );
    let message = status.message.unwrap();
    assert!(
        message.contains("PersistentVolume \"no-volume\" is not bound"),
        "{message}"
    );

    let volume = harness.create_volume().await;
    harness.create_claim("mounted", asking(&volume)).await;
    let (status, reason) = harness.wait_completed("mounted").await;
    assert_eq!(reason, condition::ALL_REPLICAS_CLAIMED);
    let spec = harness.pod(&status.sandboxes[0]).await.spec.unwrap();
    let claim = spec
        .volumes
        .unwrap()
        .into_iter()
        .find_map(|volume| Some((volume.name, volume.persistent_volume_claim?.claim_name)))
        .unwrap();
    assert_eq!(claim.1, "shared");
    let mounts = spec.containers[0].volume_mounts.clone().unwrap();
    let mount = mounts.iter().find(|mount| mount.name == claim.0).unwrap();
    assert_eq!(
        (
            mount.mount_path.as_str(),
            mount.sub_path.as_deref(),
            mount.read_only
        ),
        ("/data", Some("a"), Some(true))
    );
    harness.delete_volume(&volume).await;
}

async fn a_completed_claim_goes_and_its_sandboxes_stay(harness: &Harness) {
    let claim = json!({"templateName": "pool", "ttlAfterCompleted": "1s"});
    harness.create_claim("short", claim).await;
    harness.wait_gone::<SandboxClaim>("short").await;
    let left = harness.claimed_by("short").await;
    assert_eq!(left.len(), 1);
    let left: Option<Sandbox> = harness.sandbox(&left[0].name_any()).await;
    assert!(left.unwrap().metadata.deletion_timestamp.is_none());
}

/// Kills the controller each time that it has written down a batch and is about to claim it,
/// from a pool that has half of what is asked for: the claim ends with exactly that.
async fn survives_being_killed_while_claiming(harness: &mut Harness) {
    harness.create_set("many", json!({"replicas": 20}), "v1").await;
    harness
        .wait_set("many", "full", |status| status.available_replicas == 20)
        .await;
    let claim =
        json!({"templateName": "many", "replicas": 40, "claimTimeout": "5m", "waitReadyTimeout": "2m"});
    harness.create_claim("forty", claim).await;
    let (mut known, mut kills) = (0, 0);
    while known < 40 {
        let chosen = |status: &SandboxClaimStatus| status.sandboxes.len() + status.pending.len();
        let further = harness
            .wait_claim("forty", "further", |status| chosen(status) > known)
            .await;
        // The same name again, as of a restarted container: leads at once.
        harness.kill();
        harness.start("first");
        known = chosen(&further.status.unwrap());
        kills += 1;
    }
    println!("killed {kills} times while claiming");
    assert!(kills >= 3);
    let (status, reason) = harness.wait_completed("forty").await;
    assert_eq!(reason, condition::ALL_REPLICAS_CLAIMED);
    assert_eq!((status.claimed_replicas, status.sandboxes.len()), (40, 40));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(harness.claimed_by("forty").await.len(), 40);
}
