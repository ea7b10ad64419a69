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

#[path = "../harness/mod.rs"]
mod harness;

mod certificate;
mod pool;
mod sandbox;

use std::time::{Duration, Instant};

use harness::Harness;
use serde_json::json;
use silica_api::crd::Phase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controller_on_a_real_api_server() {
    let Some(mut harness) = Harness::connect("controller-test").await else {
        return;
    };
    pool::fills_refills_and_shrinks(&mut harness).await;
    pool::survives_being_killed_while_creating(&mut harness).await;
    pool::replaces_members_of_an_old_template(&mut harness).await;
    pool::a_failing_template_does_not_run_hot(&mut harness).await;
    pool::a_malformed_object_stops_nobody(&mut harness).await;
    sandbox::sandbox_ends_at_its_shutdown_time(&mut harness).await;
    sandbox::lost_pod_is_a_failure_and_a_foreign_pod_is_left_alone(&mut harness).await;
    sandbox::pause_and_resume(&mut harness).await;
    Box::pin(sandbox::an_image_is_changed_in_the_running_pod(&mut harness)).await;
    certificate::a_certificate_near_its_end_is_renewed(&harness).await;
    certificate::a_certificate_follows_its_ca_and_trust_comes_first(&harness).await;
    certificate::renewals_are_kept_apart_when_something_else_writes(&harness).await;
    certificate::a_foreign_certificate_is_left_alone(&harness).await;
    certificate::a_ca_near_its_end_is_followed_by_another_one(&harness).await;
    a_released_lease_is_taken_over_at_once(&mut harness).await;
    harness.clean_up().await;
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
