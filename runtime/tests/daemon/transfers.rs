//! Transfers whose clients stall.

use std::io::Write;
use std::net::TcpStream;

use serde_json::json;

use crate::fixture::Daemon;
use crate::unary;

/// More than the daemon has threads.
const STALLED: usize = 80;
/// More than sockets and queues take.
const LARGE: usize = 32 << 20;
const OCTETS: [(&str, &str); 1] = [("content-type", "application/octet-stream")];

/// Begins a request and leaves it at that.
fn stall(daemon: &Daemon, request: &str, body: &[u8]) -> TcpStream {
    let mut stream = daemon.connect();
    write!(stream, "{request} HTTP/1.1\r\nhost: x\r\n").unwrap();
    write!(stream, "content-type: {}\r\n", OCTETS[0].1).unwrap();
    if !body.is_empty() {
        write!(stream, "content-length: {LARGE}\r\n").unwrap();
    }
    stream.write_all(b"\r\n").unwrap();
    stream.write_all(body).unwrap();
    stream
}

#[test]
fn stalled_transfers_do_not_stop_others() {
    let daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    // Sparse: reading it costs nothing.
    let large = std::fs::File::create(path("large")).unwrap();
    large.set_len(LARGE as u64).unwrap();
    let mut stalled = Vec::new();
    for number in 0..STALLED {
        let upload = format!("POST /files?path={}", path(&format!("u{number}")));
        stalled.push(stall(&daemon, &upload, &vec![7; 300 * 1024]));
        let download = format!("GET /files?path={}", path("large"));
        stalled.push(stall(&daemon, &download, b""));
    }
    let small = format!("/files?path={}", path("small"));
    assert_eq!(daemon.request("POST", &small, &OCTETS, b"small").status, 200);
    assert_eq!(daemon.request("GET", &small, &[], b"").body, b"small");
    let content = vec![5; 1 << 20];
    let medium = format!("/files?path={}", path("medium"));
    assert_eq!(daemon.request("POST", &medium, &OCTETS, &content).status, 200);
    assert_eq!(daemon.request("GET", &medium, &[], b"").body, content);
    let listed = unary(
        &daemon,
        "/filesystem.Filesystem/ListDir",
        &json!({"path": path("")}),
    );
    // Stalled uploads have begun.
    assert_eq!(listed.json()["entries"].as_array().unwrap().len(), STALLED + 3);
}

#[test]
fn upload_to_a_directory_is_refused_and_an_empty_one_makes_a_file() {
    let daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let target = format!("/files?path={}", directory.path().display());
    for content in [b"".as_slice(), vec![7; 512 * 1024].as_slice()] {
        let refused = daemon.request("POST", &target, &OCTETS, content);
        let message = format!("path '{}' is a directory", directory.path().display());
        assert_eq!(refused.json(), json!({"code": 400, "message": message}));
    }
    let refused = daemon.request("GET", &target, &[], b"");
    assert_eq!(refused.status, 400);
    let empty = format!("{target}/empty");
    assert_eq!(daemon.request("POST", &empty, &OCTETS, b"").status, 200);
    assert_eq!(std::fs::read(directory.path().join("empty")).unwrap(), b"");
}
