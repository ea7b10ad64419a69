//! The REST API where no cluster is needed.

use silica_core::timeout::Timeout;

use super::*;
use crate::change;

#[tokio::test]
async fn every_error_of_the_api_is_json_with_its_code() {
    let fixture = serve(Auth::Off, None).await;
    for (method, path, body, code) in [
        ("GET", "/nowhere", "", 404),
        ("PUT", "/sandboxes", "", 405),
        ("POST", "/v2/sandboxes", "{", 400),
        ("POST", "/v2/sandboxes", "{\"templateID\":7}", 400),
        ("POST", "/kruise/api/sandboxes", "{\"templateID\":\"none\"}", 404),
        ("GET", "/sandboxes/not-an-id", "", 404),
        ("GET", "/v2/sandboxes?limit=1000", "", 400),
        ("GET", "/v2/sandboxes?nextToken=zzz", "", 400),
        ("GET", "/templates/aliases/none", "", 404),
    ] {
        let ask = request("localhost", path)
            .method(method)
            .body(Body::from(body))
            .unwrap();
        let response = client(fixture.address).await.send_request(ask).await.unwrap();
        assert_eq!(response.status().as_u16(), code, "{method} {path}");
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let body = json_of(&response.into_body().collect().await.unwrap().to_bytes());
        assert_eq!(body["code"], code, "{method} {path}");
        assert!(body["message"].is_string());
    }
    let (status, _, body) = get(fixture.address, "evil.example.org", "/").await;
    assert_eq!(
        (status, json_of(&body)["message"].clone()),
        (StatusCode::BAD_REQUEST, json!("Invalid host"))
    );
}

#[tokio::test]
async fn keys_are_needed_and_health_and_preflights_are_free() {
    let fixture = serve(Auth::Keys, None).await;
    let (status, _, body) = get(fixture.address, "localhost", "/v2/sandboxes").await;
    assert_eq!(
        (status, json_of(&body)["code"].clone()),
        (StatusCode::UNAUTHORIZED, json!(401))
    );
    assert_eq!(
        get(fixture.address, "api.sbx.example.com", "/health").await.0,
        StatusCode::OK
    );
    let ask = request("localhost", "/v2/sandboxes")
        .method("OPTIONS")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        client(fixture.address)
            .await
            .send_request(ask)
            .await
            .unwrap()
            .status(),
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn lists_have_pages_totals_and_the_twice_encoded_filter() {
    let fixture = serve(Auth::Off, None).await;
    for (name, key) in [("a", "v&é"), ("b", "other"), ("c", "v&é")] {
        let metadata = json!({ "k y": key }).to_string();
        add_sandbox(
            &fixture.app.store,
            name,
            &json!({ labels::USER_METADATA: metadata, labels::OWNER: "team-a" }),
        );
    }
    let path = "/v2/sandboxes?metadata=k%252520y%3Dv%252526%2525C3%2525A9&state=running%2Cpaused&limit=1";
    let (status, headers, body) = get(fixture.address, "localhost", path).await;
    assert_eq!(
        (status, &headers["x-total-running"]),
        (StatusCode::OK, &"3".parse().unwrap())
    );
    let first = json_of(&body);
    let next = headers["x-next-token"].to_str().unwrap();
    let (_, headers, body) = get(fixture.address, "localhost", &format!("{path}&nextToken={next}")).await;
    let second = json_of(&body);
    assert!(headers.get("x-next-token").is_none());
    assert_eq!(
        (first[0]["sandboxID"].clone(), second[0]["sandboxID"].clone()),
        (json!("default--c"), json!("default--a"))
    );
    for required in [
        "templateID",
        "sandboxID",
        "clientID",
        "startedAt",
        "endAt",
        "envdVersion",
        "cpuCount",
        "memoryMB",
        "diskSizeMB",
        "state",
    ] {
        assert!(!first[0][required].is_null(), "{required}");
    }
}

#[tokio::test]
async fn a_list_of_what_started_after_a_moment_includes_that_moment() {
    let fixture = serve(Auth::Off, None).await;
    let started = "2026-01-01T00:00:00.250Z";
    add_sandbox(
        &fixture.app.store,
        "a",
        &json!({ labels::CLAIM_TIMESTAMP: started }),
    );
    for (after, count) in [
        (started, 1),
        ("2026-01-01T00:00:00.249Z", 1),
        ("2026-01-01T00:00:00.251Z", 0),
    ] {
        let path = format!("/v2/sandboxes?startedAfter={after}");
        let (_, _, body) = get(fixture.address, "localhost", &path).await;
        assert_eq!(json_of(&body).as_array().unwrap().len(), count, "{after}");
    }
}

/// The controller takes the deadline away when it pauses; the Kubernetes API is away here, so
/// an answer of success means that nothing was deleted.
#[tokio::test]
async fn a_paused_sandbox_is_still_one_that_pauses_at_its_timeout() {
    let fixture = serve(Auth::Off, None).await;
    for (name, annotations, on_timeout, at_zero) in [
        ("naps", json!({ labels::ON_TIMEOUT: "pause" }), "pause", 204),
        ("dies", json!({ labels::ON_TIMEOUT: "kill" }), "kill", 503),
    ] {
        let mut paused = sandbox(LOCALHOST, name, &annotations);
        paused["spec"]["paused"] = json!(true);
        paused["status"]["phase"] = json!("Paused");
        let paused = serde_json::from_value(paused).unwrap();
        let paused = fixture.app.store.apply(Entry::new(paused).unwrap());
        let path = format!("/sandboxes/default--{name}");
        let (_, _, body) = get(fixture.address, "localhost", &path).await;
        let shown = json_of(&body);
        assert_eq!(
            (&shown["state"], &shown["lifecycle"]["onTimeout"]),
            (&json!("paused"), &json!(on_timeout))
        );
        let timeout = Timeout::new(60, 3600).unwrap();
        let field = if on_timeout == "pause" {
            "pauseTime"
        } else {
            "shutdownTime"
        };
        assert!(change::deadline(&paused, timeout)[field].is_string());
        let ask = request("localhost", &format!("{path}/timeout"))
            .method("POST")
            .header("content-type", "application/json")
            .body(Body::from("{\"timeout\":0}"))
            .unwrap();
        let response = client(fixture.address).await.send_request(ask).await.unwrap();
        assert_eq!(response.status().as_u16(), at_zero, "{name}");
    }
}
