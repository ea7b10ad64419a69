//! What becomes of a claimed sandbox, at whichever server its owner asks.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use silica_api::crd::Sandbox;
use silica_runtime_api::DAEMON_PORT;

use crate::harness::{Harness, http::call};

pub(crate) async fn a_sandbox_is_known_to_both_and_dies_for_both(harness: &Harness) {
    harness.pool("known", 2).await;
    let mark = json!({"metadata": {"mark": "known"}});
    let id = harness.sandbox(0, "known", mark).await.id().to_owned();
    let path = format!("/sandboxes/{id}");
    for server in [0, 1] {
        // The other server may not have seen the claim yet, and asks the API server.
        let shown = harness.ask(server, "GET", &path, None).await;
        assert_eq!(shown.status, StatusCode::OK);
        assert_eq!(
            (&shown.body["state"], shown.id()),
            (&json!("running"), id.as_str())
        );
        assert_eq!(
            shown.body["lifecycle"],
            json!({"autoResume": false, "onTimeout": "kill"})
        );
        for list in [
            "/v2/sandboxes?metadata=mark%3Dknown",
            "/sandboxes?metadata=mark%3Dknown",
        ] {
            let listed = harness.ask(server, "GET", list, None).await;
            assert_eq!(listed.status, StatusCode::OK, "{list}");
            let ids: Vec<&Value> = listed
                .body
                .as_array()
                .unwrap()
                .iter()
                .map(|one| &one["sandboxID"])
                .collect();
            assert_eq!(ids, [&json!(id)], "{list} at {server}");
        }
        let usage = harness.ask(server, "GET", &format!("{path}/metrics"), None).await;
        assert_eq!(usage.body[0]["cpuCount"], 2);
        let alias = format!("/templates/aliases/{}%2Fknown", harness.namespace);
        assert_eq!(
            harness.ask(server, "GET", &alias, None).await.body["templateID"],
            "known"
        );
    }

    let before = deadline(&harness.object(&id).await.unwrap());
    let longer = Some(json!({"duration": 1200}));
    let refreshed = harness.ask(1, "POST", &format!("{path}/refreshes"), longer).await;
    assert_eq!(refreshed.status, StatusCode::NO_CONTENT);
    assert!(deadline(&harness.object(&id).await.unwrap()) > before);

    assert_eq!(
        harness.ask(1, "DELETE", &path, None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        harness.ask(1, "DELETE", &path, None).await.status,
        StatusCode::NOT_FOUND
    );
    harness
        .wait("it is gone for both", async || {
            let other = harness.ask(0, "GET", &path, None).await;
            other.status == StatusCode::NOT_FOUND && other.body["code"] == 404
        })
        .await;
}

pub(crate) async fn a_pause_and_the_way_back(harness: &Harness) {
    harness.pool("napping", 1).await;
    let more = json!({"autoPause": true, "envVars": {"GREETING": "hello"}});
    let id = harness.sandbox(0, "napping", more).await.id().to_owned();
    let path = format!("/sandboxes/{id}");
    for round in 1..=2 {
        let pause = format!("{path}/pause");
        assert_eq!(
            harness.ask(0, "POST", &pause, None).await.status,
            StatusCode::NO_CONTENT
        );
        let again = harness.ask(0, "POST", &pause, None).await;
        assert_eq!(
            (again.status, &again.body["code"]),
            (StatusCode::CONFLICT, &json!(409))
        );
        let shown = harness.ask(0, "GET", &path, None).await.body;
        assert_eq!(
            (&shown["state"], &shown["lifecycle"]["onTimeout"]),
            (&json!("paused"), &json!("pause"))
        );
        // The controller takes the time away when it is the one who pauses.
        harness.forget_pause_time(&id).await;
        let connect = format!("/v2/sandboxes/{id}/connect");
        let resumed = harness
            .ask(1, "POST", &connect, Some(json!({"timeout": 60})))
            .await;
        assert_eq!(resumed.status, StatusCode::CREATED, "{resumed:?}");
        let spec = harness.object(&id).await.unwrap().spec;
        assert_eq!((spec.paused, spec.shutdown_time), (Some(false), None));
        assert!(spec.pause_time.is_some(), "round {round}: the next timeout kills");
        assert_eq!(harness.daemons.calls(&id).last().unwrap()["GREETING"], "hello");
        harness
            .wait("the first server has seen it", async || {
                harness.ask(0, "GET", &path, None).await.body["state"] == "running"
            })
            .await;
    }
}

pub(crate) async fn a_connect_never_shortens_a_life(harness: &Harness) {
    harness.pool("busy", 1).await;
    let id = harness
        .sandbox(0, "busy", json!({"timeout": 60}))
        .await
        .id()
        .to_owned();
    let connect = format!("/v2/sandboxes/{id}/connect");
    for round in 1..=20 {
        let long = 100 + 50 * round;
        let ask =
            |server, seconds: i64| harness.ask(server, "POST", &connect, Some(json!({"timeout": seconds})));
        let (first, second) = tokio::join!(ask(0, long), ask(1, long - 40));
        assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK));
        let end = deadline(&harness.object(&id).await.unwrap());
        let left = end.duration_since(Timestamp::now()).as_secs();
        assert!(left >= long - 10, "{left} seconds of {long} are left");
    }
}

pub(crate) async fn a_restarted_container_is_told_again(harness: &Harness) {
    harness.pool("crashing", 1).await;
    let more = json!({"envVars": {"GREETING": "hello"}});
    let id = harness.sandbox(0, "crashing", more).await.id().to_owned();
    let host = format!("{DAEMON_PORT}-{id}.sbx.example.com");
    let request = async |server: usize| {
        let headers = [("e2b-sandbox-id", id.as_str()), ("e2b-sandbox-port", "49983")];
        let answer = call(harness.servers[server], "GET", "/", &headers, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{host}");
    };
    request(0).await;
    request(1).await;
    assert_eq!(harness.daemons.calls(&id).len(), 1, "nothing has happened yet");
    harness.restart(&id, "second").await;
    for (server, told) in [(0, 2), (1, 3)] {
        harness
            .wait("the restart is seen", async || {
                request(server).await;
                harness.daemons.calls(&id).len() == told
            })
            .await;
        request(server).await;
        assert_eq!(harness.daemons.calls(&id).len(), told, "once is enough");
        assert_eq!(harness.daemons.calls(&id).last().unwrap()["GREETING"], "hello");
    }
}

fn deadline(object: &Sandbox) -> Timestamp {
    object.spec.shutdown_time.as_ref().unwrap().0
}
