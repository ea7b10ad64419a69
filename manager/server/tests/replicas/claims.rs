//! Who gets which sandbox, and when its time begins.

use std::{collections::BTreeMap, time::Instant};

use futures::future::join_all;
use http::StatusCode;
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;
use silica_api::labels;

use crate::harness::{
    Harness,
    controller::{SLOW, SLOW_TEMPLATE},
};

/// Sandboxes, and calls for them at the same time.
const MANY: usize = 200;

pub(crate) async fn every_sandbox_gets_one_owner(harness: &Harness) {
    harness.pool("many", MANY).await;
    let start = Instant::now();
    let calls = (0..MANY).map(|number| {
        let more = json!({"envVars": {"NUMBER": number.to_string()}});
        harness.sandbox(number % 2, "many", more)
    });
    let answers = join_all(calls).await;
    println!("{MANY} claims at once took {} ms", start.elapsed().as_millis());
    let mut owners = BTreeMap::new();
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
        let former = owners.insert(answer.id(), number);
        assert_eq!(former, None, "{} has two owners", answer.id());
        // One call of the daemon, by the owner.
        let calls = harness.daemons.calls(answer.id());
        assert_eq!(calls.len(), 1, "{}", answer.id());
        assert_eq!(calls[0]["NUMBER"], number.to_string());
    }
    for object in harness.members("many").await {
        assert_eq!(object.labels()[labels::CLAIMED], "true");
        assert!(object.spec.shutdown_time.is_some());
    }
}

pub(crate) async fn an_empty_pool_says_so(harness: &Harness) {
    let metadata = json!({"metadata": {"e2b.agents.kruise.io/claim-timeout-seconds": "1"}});
    let start = Instant::now();
    let answer = harness.sandbox(0, "many", metadata).await;
    assert!(start.elapsed().as_secs() < 10);
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&answer.headers["retry-after"], &answer.headers["should-retry"]),
        (&"5".parse().unwrap(), &"false".parse().unwrap())
    );
    assert_eq!(answer.body["code"], 503);
    let message = answer.body["message"].as_str().unwrap();
    assert!(
        message.contains("many") && message.contains("create-on-no-stock"),
        "{message}"
    );
}

pub(crate) async fn a_timeout_begins_when_a_new_sandbox_is_ready(harness: &Harness) {
    harness.pool(SLOW_TEMPLATE, 0).await;
    let seconds = SLOW.as_secs() - 1;
    let more = json!({"timeout": seconds, "metadata": {
        "e2b.agents.kruise.io/create-on-no-stock": "true", "e2b.agents.kruise.io/wait-ready-timeout-seconds": "20"}});
    let waiting = async {
        harness
            .wait("it is being made", async || {
                !harness.members(SLOW_TEMPLATE).await.is_empty()
            })
            .await;
        let made = harness.members(SLOW_TEMPLATE).await.remove(0);
        left(&made)
    };
    let (answer, left_while_waiting) = tokio::join!(harness.sandbox(0, SLOW_TEMPLATE, more), waiting);
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert!(left_while_waiting > 15, "the deadline leaves the wait out");
    let ready = harness.object(answer.id()).await.unwrap();
    let seconds = i64::try_from(seconds).unwrap();
    assert!(
        (seconds - 1..=seconds).contains(&left(&ready)),
        "{}",
        left(&ready)
    );
    assert_eq!(harness.daemons.calls(answer.id()).len(), 1);
}

fn left(object: &silica_api::crd::Sandbox) -> i64 {
    let end = object.spec.shutdown_time.as_ref().unwrap().0;
    end.duration_since(Timestamp::now()).as_secs()
}

pub(crate) async fn metadata_become_annotations(harness: &Harness) {
    harness.pool("annotated", 1).await;
    let metadata =
        json!({"team.example.com/user": "alice", "two words": "1", "agents.kruise.io/owner": "mallory"});
    let answer = harness
        .sandbox(0, "annotated", json!({"metadata": metadata}))
        .await;
    let object = harness.object(answer.id()).await.unwrap();
    let annotations = object.annotations();
    assert_eq!(annotations["team.example.com/user"], "alice");
    assert_ne!(annotations[labels::OWNER], "mallory");
    let shown = harness
        .ask(0, "GET", &format!("/sandboxes/{}", answer.id()), None)
        .await;
    assert_eq!(shown.body["metadata"], metadata);
}
