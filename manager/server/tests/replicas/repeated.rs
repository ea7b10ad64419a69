//! Calls with an `Idempotency-Key` that are made more than once.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use kube::ResourceExt;
use serde_json::{Value, json};
use silica_api::labels;

use crate::harness::{
    Harness,
    controller::{SLOW, SLOW_TEMPLATE},
    http::{Answer, call},
};

async fn create(harness: &Harness, server: usize, key: &str, body: &Value) -> Answer {
    let headers = [("idempotency-key", key)];
    call(
        harness.servers[server],
        "POST",
        "/v2/sandboxes",
        &headers,
        Some(body),
    )
    .await
}

/// How many sandboxes of the pool belong to somebody.
async fn claimed(harness: &Harness, pool: &str) -> usize {
    let members = harness.members(pool).await;
    let is_claimed = |object: &&silica_api::crd::Sandbox| {
        object.labels()[labels::CLAIMED] == "true" && object.metadata.deletion_timestamp.is_none()
    };
    members.iter().filter(is_claimed).count()
}

pub(crate) async fn calls_at_both_servers_get_one_sandbox(harness: &Harness) {
    const ROUNDS: usize = 20;
    harness.pool("once", 3 * ROUNDS).await;
    for round in 1..=ROUNDS {
        let key = format!("round-{round}");
        let body = harness.order("once", json!({"envVars": {"ROUND": key}}));
        let calls = (0..6).map(|number| create(harness, number % 2, &key, &body));
        let answers = join_all(calls).await;
        for answer in &answers {
            assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
            assert_eq!(answer.id(), answers[0].id(), "round {round}");
        }
        assert_eq!(claimed(harness, "once").await, round, "one sandbox for each call");
        let later = create(harness, round % 2, &key, &body).await;
        assert_eq!(later.id(), answers[0].id());
    }
    let other = harness.order("once", json!({"envVars": {"ROUND": "another"}}));
    let answer = create(harness, 0, "round-1", &other).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(
        claimed(harness, "once").await,
        ROUNDS + 1,
        "another body is another call"
    );
}

pub(crate) async fn a_client_that_went_away_finds_its_sandbox(harness: &Harness) {
    harness.pool("patient", 2).await;
    let body = harness.order("patient", json!({}));
    harness.daemons.delay(Duration::from_millis(500));
    let first = tokio::time::timeout(Duration::from_millis(200), create(harness, 0, "gone", &body)).await;
    assert!(first.is_err(), "the client does not wait for the answer");
    let answers = join_all([0, 1].map(|server| create(harness, server, "gone", &body))).await;
    harness.daemons.delay(Duration::ZERO);
    assert_eq!(answers[0].id(), answers[1].id());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(claimed(harness, "patient").await, 1);
    let path = format!("/sandboxes/{}", answers[0].id());
    assert_eq!(harness.ask(0, "GET", &path, None).await.status, StatusCode::OK);
}

pub(crate) async fn a_call_for_a_sandbox_that_starts_waits_for_it(harness: &Harness) {
    let metadata = json!({"metadata": {"e2b.agents.kruise.io/create-on-no-stock": "true"}});
    let body = harness.order(SLOW_TEMPLATE, metadata);
    let first = create(harness, 0, "slow", &body);
    let second = async {
        tokio::time::sleep(SLOW / 3).await;
        create(harness, 1, "slow", &body).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(
        (first.status, second.status),
        (StatusCode::CREATED, StatusCode::CREATED)
    );
    assert_eq!(first.id(), second.id());
    let object = harness.object(first.id()).await.unwrap();
    assert!(object.status.is_some(), "both waited until it was ready");
}
