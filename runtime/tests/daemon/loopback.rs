//! Servers that listen on the loopback interface only.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::Daemon;

/// SHA-256 of "token".
const FINGERPRINT: &str = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";

/// A web server of its own, as users start them.
struct WebServer {
    process: Child,
    port: u16,
}

impl WebServer {
    fn start(address: IpAddr, directory: &std::path::Path) -> Self {
        let port = TcpListener::bind((address, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new("python3")
            .args([
                "-m",
                "http.server",
                "--bind",
                &address.to_string(),
                &port.to_string(),
            ])
            .current_dir(directory)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while TcpStream::connect((address, port)).is_err() {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "python3 does not serve"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, port }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Switches a connection over to the port; the head of the answer comes with it.
fn switch(daemon: &Daemon, port: u16, headers: &str) -> (TcpStream, String) {
    let mut stream = daemon.connect();
    write!(
        stream,
        "GET /loopback/{port} HTTP/1.1\r\nhost: x\r\n{headers}\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

#[test]
fn server_on_the_loopback_interface_is_reached_through_the_daemon() {
    let daemon = Daemon::start(&[("SILICA_ACCESS_TOKEN_SHA256", FINGERPRINT)]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("page"), "served").unwrap();
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        if TcpListener::bind((address, 0)).is_err() {
            // A machine without IPv6.
            continue;
        }
        let server = WebServer::start(address, directory.path());
        let headers = "connection: upgrade\r\nupgrade: tcp\r\nx-access-token: token\r\n";
        let (mut stream, head) = switch(&daemon, server.port, headers);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\nserved"), "{answer}");
    }
}

#[test]
fn closed_port_missing_token_and_other_protocols_are_refused() {
    let daemon = Daemon::start(&[("SILICA_ACCESS_TOKEN_SHA256", FINGERPRINT)]);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let upgrade = [("connection", "upgrade"), ("upgrade", "tcp")];
    let token = ("x-access-token", "token");
    let path = format!("/loopback/{closed}");
    let status = |path: &str, headers: &[(&str, &str)]| daemon.request("GET", path, headers, b"").status;
    assert_eq!(status(&path, &upgrade), 401);
    assert_eq!(status(&path, &[upgrade[0], upgrade[1], token]), 502);
    assert_eq!(status(&path, &[token]), 426);
    assert_eq!(status("/loopback/65536", &[upgrade[0], upgrade[1], token]), 400);
}
