//! The phases on the command line: undone, killed, without a step, in an emergency, and
//! beside another command.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use silica_api::names;

use crate::{
    bundle, chain, expect,
    fleet::{self, Fleet},
    harness::Harness,
    held, phase, rotate, verify_served,
};

pub(crate) async fn every_phase_can_be_undone(harness: &Harness, fleet: &Fleet) {
    let old = bundle(harness).await;
    let steps = ["prepare", "spread", "switch", "soak"];
    for last in 0..steps.len() {
        for step in &steps[..=last] {
            rotate(harness, &["--ca", "--step", step]);
        }
        rotate(harness, &["--ca", "--abort"]);
        assert_eq!(phase(harness), Value::Null);
        assert_eq!(bundle(harness).await, old, "undone after {}", steps[last]);
        assert_eq!(chain(harness).await.matches("BEGIN").count(), 1);
        verify_served(harness, fleet, &old, true).await;
    }
    expect(
        harness,
        &["rotate-certs", "--ca", "--step", "retire"],
        65,
        &["prepare comes before retire"],
    );
}

/// SIGKILL after a time that grows from run to run, so that every write is hit;
/// the same command again goes on, and clients with the old CA never fail.
pub(crate) async fn killed_at_any_moment_it_goes_on(harness: &Harness, fleet: &Fleet) {
    let old = bundle(harness).await;
    let mut kills = 0;
    for step in ["prepare", "spread", "switch", "soak", "retire"] {
        let args = ["rotate-certs", "--ca", "--step", step];
        let took = Instant::now();
        let mut delay = Duration::from_millis(40);
        loop {
            let mut child = harness.start(&args);
            tokio::time::sleep(delay).await;
            let ended = child.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            delay += Duration::from_millis(60);
            assert!(
                took.elapsed() < Duration::from_secs(20),
                "{step} makes no progress"
            );
            if step != "retire" {
                for port in fleet.ports() {
                    assert!(held::accepts(port, &old).await, "killed in {step}");
                }
            }
        }
        // Done by then, or by this. Behind the last phase nothing is left to go on with.
        if step != "retire" || phase(harness) != Value::Null {
            expect(harness, &args, 0, &[]);
        }
    }
    println!("killed {kills} times");
    assert_eq!(phase(harness), Value::Null);
    let new = bundle(harness).await;
    assert_eq!(new.matches("BEGIN CERTIFICATE").count(), 1);
    verify_served(harness, fleet, &new, true).await;
    verify_served(harness, fleet, &old, false).await;
}

pub(crate) async fn without_a_step_it_stops_before_retire(harness: &Harness, fleet: &Fleet) {
    let old = bundle(harness).await;
    let start = Instant::now();
    let status = rotate(harness, &["--ca", "--spread", "1s", "--soak", "1s"]);
    println!("without a step: {} ms", start.elapsed().as_millis());
    assert_eq!(status["phase"], "soak");
    assert!(status["next"].as_str().unwrap().contains("--step retire"));
    verify_served(harness, fleet, &old, true).await;
    // Again: nothing more happens without the word.
    rotate(harness, &["--ca", "--soak", "1s"]);
    assert_eq!(phase(harness), "soak");
    rotate(harness, &["--ca", "--step", "retire"]);
    verify_served(harness, fleet, &old, false).await;
    expect(
        harness,
        &["rotate-certs", "--ca", "--abort"],
        0,
        &["nothing to do"],
    );
}

/// As a run leaves it that ended behind the first write of the last phase.
pub(crate) async fn an_interrupted_retirement_is_finished_and_nothing_begun(
    harness: &Harness,
    fleet: &Fleet,
) {
    for step in ["prepare", "spread", "switch", "soak"] {
        rotate(harness, &["--ca", "--step", step]);
    }
    let follows = rotate(harness, &["status"])["nextAuthority"]["fingerprint"].clone();
    let secrets: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    let mark = json!({"metadata": {"annotations": {"silica/rotation-course": "retiring"}}});
    secrets
        .patch(
            names::CA_NEXT_SECRET,
            &PatchParams::default(),
            &Patch::Merge(mark),
        )
        .await
        .unwrap();
    let status = rotate(harness, &["--ca"]);
    assert_eq!(status["phase"], Value::Null, "{status}");
    assert_eq!(status["nextAuthority"], Value::Null, "{status}");
    assert_eq!(status["authority"]["fingerprint"], follows);
    let new = bundle(harness).await;
    assert_eq!(new.matches("BEGIN CERTIFICATE").count(), 1);
    verify_served(harness, fleet, &new, true).await;
}

pub(crate) async fn an_emergency_distrusts_at_once(harness: &Harness, fleet: &Fleet) {
    let old = bundle(harness).await;
    // The key of the CA that was to follow lay beside the exposed one.
    rotate(harness, &["--ca", "--step", "prepare"]);
    let exposed = rotate(harness, &["--ca", "--step", "spread"])["nextAuthority"]["fingerprint"].clone();
    let status = rotate(harness, &["--ca", "--emergency"]);
    assert_eq!(status["phase"], Value::Null, "{status}");
    assert_ne!(status["authority"]["fingerprint"], exposed);
    let new = bundle(harness).await;
    verify_served(harness, fleet, &old, false).await;
    verify_served(harness, fleet, &new, true).await;
    assert_eq!(new.matches("BEGIN CERTIFICATE").count(), 1);
}

pub(crate) async fn the_lock_is_taken_by_writers_only(harness: &Harness) {
    use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
    let api: Api<Lease> = Api::namespaced(harness.client(), names::NAMESPACE);
    let lease = silica_api::lock::lease(names::NAMESPACE, "jane@laptop-7", None, Timestamp::now());
    api.create(&kube::api::PostParams::default(), &lease)
        .await
        .unwrap();
    expect(harness, &["rotate-certs", "status"], 0, &["no rotation"]);
    expect(harness, &["rotate-certs", "--ca"], 75, &["jane@laptop-7"]);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    expect(
        harness,
        &["certs", "generate", "-d", fleet::DOMAIN, "-o", dir],
        0,
        &[],
    );
    let (cert, key) = (format!("{dir}/fullchain.pem"), format!("{dir}/privkey.pem"));
    let import = ["certs", "import", "--cert", &cert, "--key", &key];
    expect(harness, &import, 75, &["jane@laptop-7"]);
    api.delete(silica_api::lock::LEASE, &kube::api::DeleteParams::default())
        .await
        .unwrap();
}
