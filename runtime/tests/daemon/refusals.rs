//! What the daemon says to requests that it cannot read.

use serde_json::json;

use crate::fixture::Daemon;

#[test]
fn every_refusal_of_the_daemon_is_json_with_its_status() {
    let daemon = Daemon::start(&[]);
    let json = [("content-type", "application/json")];
    let text = [("content-type", "text/plain")];
    for (method, path, headers, body, status) in [
        ("GET", "/nothing", &text, "", 404),
        ("DELETE", "/files", &text, "", 405),
        (
            "GET",
            "/files?path=/etc/hostname&signature_expiration=soon",
            &text,
            "",
            400,
        ),
        ("POST", "/files/compose", &text, "{}", 415),
        ("POST", "/files/compose", &json, "{", 400),
        ("POST", "/files/compose", &json, "{\"source_paths\": 1}", 400),
        ("POST", "/init", &json, "5", 400),
    ] {
        let response = daemon.request(method, path, headers, body.as_bytes());
        assert_eq!(response.status, status, "{method} {path}");
        assert_eq!(
            response.header("content-type"),
            Some("application/json"),
            "{path}"
        );
        assert_eq!(response.json()["code"], json!(status), "{path}");
        assert!(response.json()["message"].is_string(), "{path}");
    }
}

#[test]
fn download_is_compressed_for_who_asks_for_that_alone() {
    let daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    std::fs::write(directory.path().join("file"), &content).unwrap();
    let path = format!("/files?path={}/file", directory.path().display());

    let packed = daemon.request("GET", &path, &[("accept-encoding", "gzip")], b"");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < content.len() / 2);
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(packed.body.as_slice());
    std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
    assert!(unpacked == content);

    let browser = [("accept-encoding", "gzip, deflate, br")];
    let plain = daemon.request("GET", &path, &browser, b"");
    assert_eq!(plain.header("content-encoding"), None);
    assert!(plain.body == content);
    let part = [("accept-encoding", "gzip"), ("range", "bytes=0-3")];
    assert_eq!(daemon.request("GET", &path, &part, b"").body, content[..4]);
    let none = [("accept-encoding", "identity;q=0")];
    assert_eq!(daemon.request("GET", &path, &none, b"").status, 406);
}
