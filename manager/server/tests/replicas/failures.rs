//! Calls that do not end with a sandbox, and what they leave behind.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use kube::ResourceExt;
use serde_json::json;
use silica_api::labels;

use crate::harness::{Harness, controller::BROKEN_TEMPLATE};

pub(crate) async fn a_client_that_goes_away_leaves_nothing(harness: &Harness) {
    harness.pool("left", 1).await;
    harness.daemons.delay(Duration::from_millis(500));
    let call = harness.sandbox(0, "left", json!({}));
    let answer = tokio::time::timeout(Duration::from_millis(250), call).await;
    assert!(answer.is_err(), "the client does not wait for the answer");
    harness.daemons.delay(Duration::ZERO);
    harness
        .wait("the sandbox is deleted", async || {
            harness.members("left").await.is_empty()
        })
        .await;
}

pub(crate) async fn a_claim_whose_answer_was_lost_leaves_nothing(harness: &Harness) {
    harness.pool("lost", 2).await;
    harness.lossy.lose_next(Method::PATCH);
    let answer = harness.sandbox(0, "lost", json!({})).await;
    assert!(!harness.lossy.is_armed());
    assert_eq!(
        answer.status,
        StatusCode::CREATED,
        "the other one was taken: {answer:?}"
    );
    let left = harness.members("lost").await;
    assert_eq!(left.len(), 1, "the claim without an answer was undone");
    assert!(answer.id().ends_with(&left[0].name_any()));

    let make = json!({"metadata": {"e2b.agents.kruise.io/create-on-no-stock": "true",
        "e2b.agents.kruise.io/never-timeout": "true"}});
    harness.lossy.lose_next(Method::POST);
    let answer = harness.sandbox(0, "lost", make).await;
    assert!(!harness.lossy.is_armed());
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["should-retry"], "false");
    assert_eq!(
        harness.members("lost").await.len(),
        1,
        "what was made is gone again"
    );
}

pub(crate) async fn a_sandbox_that_failed_is_deleted_or_kept(harness: &Harness) {
    harness.pool("refusing", 4).await;
    harness.daemons.refuse("refusing");
    let failed = harness.sandbox(0, "refusing", json!({})).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(failed.headers["should-retry"], "false");
    assert_eq!(
        harness.members("refusing").await.len(),
        1,
        "three tries, each undone"
    );

    // Without a call of the daemon nothing fails.
    let skip = json!({"metadata": {"e2b.agents.kruise.io/skip-init-runtime": "true"}});
    let answer = harness.sandbox(1, "refusing", skip).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert!(harness.daemons.calls(answer.id()).is_empty());
    harness.restart(answer.id(), "second").await;
    let path = format!("/sandboxes/{}/metrics", answer.id());
    assert_eq!(harness.ask(1, "GET", &path, None).await.status, StatusCode::OK);

    harness.pool("reserved", 1).await;
    harness.daemons.refuse("reserved");
    let keep = json!({"metadata": {"e2b.agents.kruise.io/reserve-failed-sandbox": "true",
        "e2b.agents.kruise.io/claim-timeout-seconds": "1"}});
    let failed = harness.sandbox(0, "reserved", keep).await;
    assert!(failed.status.is_server_error(), "{failed:?}");
    let kept = harness.members("reserved").await.remove(0);
    assert_eq!(kept.labels()[labels::RESERVED_FAILED], "true");
    assert_eq!(kept.spec.shutdown_time, None);
}

pub(crate) async fn a_broken_template_ends_the_call_at_once(harness: &Harness) {
    harness.pool(BROKEN_TEMPLATE, 0).await;
    let more = json!({"metadata": {"e2b.agents.kruise.io/create-on-no-stock": "true"}});
    let start = Instant::now();
    let answer = harness.sandbox(0, BROKEN_TEMPLATE, more).await;
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        answer.body["message"]
            .as_str()
            .unwrap()
            .contains("played by the test"),
        "{answer:?}"
    );
    harness
        .wait("it is deleted", async || {
            harness.members(BROKEN_TEMPLATE).await.is_empty()
        })
        .await;
}
