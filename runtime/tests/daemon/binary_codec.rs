//! Clients that speak binary protobuf, as generated Go clients do.

use buffa::{Message, MessageField};
use sandbox_runtime::proto::filesystem::{StatRequest, StatResponse};
use sandbox_runtime::proto::process::__buffa::oneof::process_event::Event;
use sandbox_runtime::proto::process::{ProcessConfig, StartRequest, StartResponse};

use crate::fixture::{Daemon, raw_envelope, raw_envelopes};

#[test]
fn unary_call_is_answered_in_the_codec_of_the_request() {
    let daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "12345").unwrap();
    let request = StatRequest {
        path: directory.path().join("file").display().to_string(),
        ..Default::default()
    };
    let headers = [("content-type", "application/proto")];
    let response = daemon.request(
        "POST",
        "/filesystem.Filesystem/Stat",
        &headers,
        &request.encode_to_vec(),
    );
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, Some("application/proto"))
    );
    let entry = StatResponse::decode_from_slice(&response.body).unwrap().entry;
    assert_eq!((entry.name.as_str(), entry.size), ("file", 5));

    let missing = StatRequest {
        path: "/missing".to_owned(),
        ..Default::default()
    };
    let response = daemon.request(
        "POST",
        "/filesystem.Filesystem/Stat",
        &headers,
        &missing.encode_to_vec(),
    );
    // Errors are JSON in every codec (Connect protocol, "Error codes").
    assert_eq!(
        (response.status, &response.json()["code"]),
        (404, &"not_found".into())
    );
}

#[test]
fn process_stream_runs_in_binary_from_start_to_end() {
    let daemon = Daemon::start(&[]);
    let request = StartRequest {
        process: MessageField::some(ProcessConfig {
            cmd: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), "printf out; exit 3".to_owned()],
            ..Default::default()
        }),
        stdin: Some(false),
        ..Default::default()
    };
    let headers = [("content-type", "application/connect+proto")];
    let response = daemon.request(
        "POST",
        "/process.Process/Start",
        &headers,
        &raw_envelope(&request.encode_to_vec()),
    );
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, Some("application/connect+proto"))
    );
    let messages = raw_envelopes(&response.body);
    let (end, messages) = messages.split_last().unwrap();
    assert_eq!(*end, (2, b"{}".as_slice()));
    let mut events = messages.iter().map(|(flags, message)| {
        assert_eq!(*flags, 0);
        let response = StartResponse::decode_from_slice(message).unwrap();
        response.event.into_option().unwrap().event.unwrap()
    });
    assert!(matches!(events.next(), Some(Event::Start(start)) if start.pid > 0));
    assert!(matches!(events.next(), Some(Event::Data(_))));
    assert!(matches!(events.next(), Some(Event::End(end)) if end.exit_code == 3 && end.exited));
    assert!(events.next().is_none());
}
