//! Drives the real daemon over HTTP, byte by byte where the wire form matters.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod binary_codec;
mod fixture;
mod freeze;
mod init;
mod interpreter;
mod loopback;
mod memory;
mod refusals;
mod slow_disks;
mod slow_readers;
mod transfers;

use std::time::{Duration, Instant};

use fixture::{Daemon, Response, envelope, envelopes};
use serde_json::{Value, json};

const STREAM: &str = "application/connect+json";

fn start(daemon: &Daemon, command: &str, headers: &[(&str, &str)]) -> Response {
    let request = json!({"process": {"cmd": "/bin/sh", "args": ["-c", command]}, "stdin": false});
    let mut all = vec![("content-type", STREAM)];
    all.extend(headers);
    daemon.request("POST", "/process.Process/Start", &all, &envelope(&request))
}

fn unary(daemon: &Daemon, method: &str, request: &Value) -> Response {
    daemon.request(
        "POST",
        method,
        &[("content-type", "application/json")],
        request.to_string().as_bytes(),
    )
}

#[test]
fn health_needs_no_token_and_everything_else_does() {
    // SHA-256 of "token".
    let fingerprint = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";
    let daemon = Daemon::start(&[("SILICA_ACCESS_TOKEN_SHA256", fingerprint)]);
    assert_eq!(daemon.request("GET", "/health", &[], b"").status, 204);
    for path in [
        "/envs",
        "/metrics",
        "/metrics/history",
        "/files?path=/etc/hostname",
    ] {
        assert_eq!(daemon.request("GET", path, &[], b"").status, 401, "{path}");
    }
    assert_eq!(start(&daemon, "true", &[]).status, 401);
    assert_eq!(start(&daemon, "true", &[("x-access-token", "wrong")]).status, 401);
    assert_eq!(start(&daemon, "true", &[("x-access-token", "token")]).status, 200);
    assert_eq!(daemon.request("POST", "/init", &[], b"{}").status, 401);
    let body = br#"{"accessToken": ""}"#;
    assert_eq!(
        daemon
            .request("POST", "/init", &[("x-access-token", "token")], body)
            .status,
        204
    );
    assert_eq!(start(&daemon, "true", &[]).status, 200);
}

#[test]
fn process_stream_has_the_exact_type_and_ends_with_an_envelope() {
    let daemon = Daemon::start(&[]);
    let response = start(&daemon, "printf out; exit 3", &[]);
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, Some(STREAM))
    );
    let messages = envelopes(&response.body);
    assert!(messages[0].1["event"]["start"]["pid"].is_u64());
    assert_eq!(messages[1].1["event"]["data"]["stdout"], "b3V0");
    let end = json!({"exitCode": 3, "exited": true, "status": "exit status 3", "error": "exit status 3"});
    assert_eq!(messages[2], (0, json!({"event": {"end": end}})));
    assert_eq!(messages[3], (2, json!({})));
}

#[test]
fn errors_of_streams_are_envelopes_and_of_unary_calls_statuses() {
    let daemon = Daemon::start(&[]);
    let request = json!({"process": {"cmd": "/bin/sh", "cwd": "/missing"}});
    let response = daemon.request(
        "POST",
        "/process.Process/Start",
        &[("content-type", STREAM)],
        &envelope(&request),
    );
    assert_eq!(response.status, 200);
    let (flags, end) = envelopes(&response.body).remove(0);
    assert_eq!((flags, &end["error"]["code"]), (2, &json!("invalid_argument")));
    assert_eq!(end["error"]["message"], "cwd '/missing' does not exist");

    let response = unary(
        &daemon,
        "/process.Process/SendSignal",
        &json!({"process": {"pid": 4_000_000}, "signal": "SIGNAL_SIGKILL"}),
    );
    assert_eq!(response.status, 404);
    let expected = json!({"code": "not_found", "message": "process with pid 4000000 not found"});
    assert_eq!(response.json(), expected);
    assert_eq!(
        unary(&daemon, "/process.Process/List", &json!({})).json(),
        json!({})
    );
}

#[test]
fn wrong_method_and_content_type_are_told_apart() {
    let daemon = Daemon::start(&[]);
    assert_eq!(
        daemon.request("GET", "/process.Process/Start", &[], b"").status,
        405
    );
    let text = [("content-type", "text/plain")];
    assert_eq!(
        daemon
            .request("POST", "/process.Process/List", &text, b"{}")
            .status,
        415
    );
    assert_eq!(daemon.request("GET", "/nothing", &[], b"").status, 404);
}

#[test]
fn deadline_kills_and_silence_is_kept_alive() {
    let daemon = Daemon::start(&[]);
    let begin = Instant::now();
    let headers = [("connect-timeout-ms", "1500"), ("keepalive-ping-interval", "1")];
    let messages = envelopes(&start(&daemon, "sleep 60", &headers).body);
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(messages[1].1, json!({"event": {"keepalive": {}}}));
    let (flags, end) = &messages[2];
    assert_eq!((*flags, &end["error"]["code"]), (2, &json!("deadline_exceeded")));
}

#[test]
fn useless_keepalive_interval_does_no_harm() {
    let daemon = Daemon::start(&[]);
    let response = start(&daemon, "printf x", &[("keepalive-ping-interval", "0")]);
    assert_eq!(envelopes(&response.body).len(), 4);
}

#[test]
fn streamed_input_reaches_the_process_in_order() {
    let daemon = Daemon::start(&[]);
    let process = json!({"tag": "reader"});
    let output = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let request = json!({"process": {"cmd": "/bin/cat"}, "tag": "reader"});
            daemon.request(
                "POST",
                "/process.Process/Start",
                &[("content-type", STREAM)],
                &envelope(&request),
            )
        });
        let running = || !unary(&daemon, "/process.Process/List", &json!({})).json()["processes"].is_null();
        while !running() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut body = envelope(&json!({"start": {"process": process}}));
        body.extend(envelope(&json!({"data": {"input": {"stdin": "YQ"}}})));
        body.extend(envelope(&json!({"keepalive": {}})));
        body.extend(envelope(&json!({"data": {"input": {"stdin": "Yg=="}}})));
        let answer = daemon.request(
            "POST",
            "/process.Process/StreamInput",
            &[("content-type", STREAM)],
            &body,
        );
        assert_eq!(envelopes(&answer.body), [(0, json!({})), (2, json!({}))]);
        let closed = unary(
            &daemon,
            "/process.Process/CloseStdin",
            &json!({"process": process}),
        );
        assert_eq!((closed.status, closed.json()), (200, json!({})));
        reader.join().unwrap()
    });
    let data = envelopes(&output.body)
        .into_iter()
        .filter_map(|(_, message)| Some(message["event"]["data"]["stdout"].as_str()?.to_owned()));
    let data: Vec<_> = data.collect();
    assert!(data == ["YWI="] || data == ["YQ==", "Yg=="], "{data:?}");
}

#[test]
fn signed_link_opens_one_file_without_the_token() {
    // SHA-256 of "token"; the signature is that of "/etc/hostname:read::token".
    let fingerprint = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";
    let daemon = Daemon::start(&[("SILICA_ACCESS_TOKEN_SHA256", fingerprint)]);
    // Signatures are made with the token itself, which the daemon learns from its first user.
    assert_eq!(
        daemon
            .request("POST", "/init", &[("x-access-token", "token")], b"{}")
            .status,
        204
    );
    let link =
        |path: &str| format!("/files?path={path}&signature=v1_pDsTvUmXsEn%2Bx5R0J2saWkGVLZysBHPQFIT0wYL95Y0");
    assert_eq!(
        daemon.request("GET", &link("/etc/hostname"), &[], b"").status,
        200
    );
    let refused = daemon.request("GET", &link("/etc/passwd"), &[], b"");
    assert_eq!(
        (refused.status, refused.json()["message"].as_str()),
        (401, Some("invalid signature"))
    );
}

#[test]
fn usage_is_recorded_every_five_seconds() {
    let daemon = Daemon::start(&[]);
    let now = daemon.request("GET", "/metrics", &[], b"").json();
    assert!(now["mem_total"].as_u64().unwrap() >= now["mem_used"].as_u64().unwrap());
    assert!(now["cpu_count"].as_u64().unwrap() > 0 && now["cpu_used_pct"].is_number());
    let recorded = fixture::wait_until(|| {
        let history = daemon.request("GET", "/metrics/history", &[], b"").json();
        let times = history
            .as_array()
            .unwrap()
            .iter()
            .map(|usage| usage["ts"].as_i64());
        let times: Vec<i64> = times.collect::<Option<_>>().unwrap();
        (times.len() >= 3).then_some(times)
    });
    assert!(recorded.is_sorted());
    assert!(recorded[0] >= now["ts"].as_i64().unwrap());
    // A busy machine may be late, never early.
    assert!(recorded[1] - recorded[0] >= 4, "{recorded:?}");
}

#[test]
fn global_variables_reach_commands() {
    let daemon = Daemon::start(&[]);
    let body = br#"{"envVars": {"GREETING": "hi"}}"#;
    assert_eq!(daemon.request("POST", "/init", &[], body).status, 204);
    let messages = envelopes(&start(&daemon, "printf $GREETING-$E2B_SANDBOX", &[]).body);
    assert_eq!(messages[1].1["event"]["data"]["stdout"], "aGktdHJ1ZQ==");
    assert_eq!(daemon.request("GET", "/envs", &[], b"").json()["GREETING"], "hi");
}

#[test]
fn files_are_written_and_read_in_parts() {
    let daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let path = format!("/files?path={}/new/file.txt", directory.path().display());
    let octets = [("content-type", "application/octet-stream")];
    let written = daemon.request("POST", &path, &octets, b"0123456789");
    assert_eq!(written.status, 200);
    assert_eq!(written.json()[0]["name"], "file.txt");
    let whole = daemon.request("GET", &path, &[], b"");
    assert_eq!(
        (whole.status, whole.body.as_slice()),
        (200, b"0123456789".as_slice())
    );
    let part = daemon.request("GET", &path, &[("range", "bytes=2-4")], b"");
    assert_eq!((part.status, part.body.as_slice()), (206, b"234".as_slice()));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    let beyond = daemon.request("GET", &path, &[("range", "bytes=10-")], b"");
    assert_eq!(beyond.status, 416);
    assert_eq!(daemon.request("POST", &path, &octets, b"").status, 200);
    let empty = daemon.request("GET", &path, &[], b"");
    assert_eq!((empty.status, empty.header("content-length")), (200, Some("0")));
    let missing = daemon.request("GET", "/files?path=/missing/file", &[], b"");
    let expected = json!({"code": 404, "message": "path '/missing/file' does not exist"});
    assert_eq!((missing.status, missing.json()), (404, expected));
}

#[test]
fn parts_of_a_form_are_files() {
    let daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let first = directory.path().join("\u{e9} a.txt");
    let second = directory.path().join("b");
    let part = |path: &std::path::Path, text: &str| {
        let head = format!(
            "content-disposition: form-data; name=\"file\"; filename=\"{}\"",
            path.display()
        );
        format!("--B\r\n{head}\r\n\r\n{text}\r\n")
    };
    let body = format!("{}{}--B--\r\n", part(&first, "1"), part(&second, "2"));
    let form = [("content-type", "multipart/form-data; boundary=B")];
    let response = daemon.request("POST", "/files", &form, body.as_bytes());
    assert_eq!(
        response.status,
        200,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    assert_eq!(response.json().as_array().map(Vec::len), Some(2));
    assert_eq!(std::fs::read_to_string(first).unwrap(), "1");
    assert_eq!(std::fs::read_to_string(second).unwrap(), "2");
    let twice = format!("{0}{0}--B--\r\n", part(&directory.path().join("c"), "1"));
    assert_eq!(
        daemon.request("POST", "/files", &form, twice.as_bytes()).status,
        400
    );
}
