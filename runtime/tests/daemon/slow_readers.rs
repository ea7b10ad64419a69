//! Readers that stall: nothing is lost to them, and nobody else waits for them forever.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::{Daemon, Response, envelope, envelopes, wait_until};
use crate::{STREAM, unary};

/// Writes until nobody takes anything for a second, notes how much it was, and exits.
const FILL: &str = "
import os, sys, time
os.set_blocking(1, False)
total, last = 0, time.monotonic()
while time.monotonic() - last < 1:
    try:
        total, last = total + os.write(1, b'x' * 4096), time.monotonic()
    except BlockingIOError:
        time.sleep(0.01)
open(sys.argv[1] + '.partial', 'w').write(str(total))
os.rename(sys.argv[1] + '.partial', sys.argv[1])
";

/// Starts a command whose output nobody reads yet.
fn start_unread(daemon: &Daemon, arguments: &[&str]) -> TcpStream {
    let request = json!({"process": {"cmd": "python3", "args": arguments}, "tag": "t", "stdin": false});
    let body = envelope(&request);
    let mut stream = daemon.connect();
    write!(
        stream,
        "POST /process.Process/Start HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: {STREAM}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(&body).unwrap();
    stream
}

#[test]
fn reader_that_stalls_at_the_exit_loses_nothing() {
    let daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let note = directory.path().join("total");
    let mut stream = start_unread(&daemon, &["-c", FILL, note.to_str().unwrap()]);
    let total: usize = wait_until(|| std::fs::read_to_string(&note).ok())
        .parse()
        .unwrap();
    // Much longer than output may pause after an exit.
    std::thread::sleep(Duration::from_secs(2));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let (received, end) = read_output(&Response::parse(&answer).body);
    assert_eq!(received, total);
    assert_eq!(end, json!({"exited": true, "status": "exit status 0"}));
    let running = unary(&daemon, "/process.Process/List", &json!({})).json();
    assert_eq!(running, json!({}));
}

/// Number of bytes of the standard output, and how the process ended.
fn read_output(body: &[u8]) -> (usize, Value) {
    let (mut received, mut end) = (0, Value::Null);
    for (_, message) in envelopes(body) {
        if let Some(text) = message["event"]["data"]["stdout"].as_str() {
            let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
            received += text.len() / 4 * 3 - padding;
        }
        if !message["event"]["end"].is_null() {
            end = message["event"]["end"].clone();
        }
    }
    (received, end)
}
