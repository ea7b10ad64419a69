//! Files that answer late, as those of a mount whose server is gone.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{Daemon, envelope, envelopes, wait_until};
use crate::{STREAM, start, unary};

/// Keeps a lease (fcntl(2)): whoever opens the file waits until this process has
/// ended. Prints a line as soon as it holds.
const LEASE: &str = "
import fcntl, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], 'r+')
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
open(sys.argv[2], 'w').close()
time.sleep(30)
";

struct Lease(Child);

impl Lease {
    fn take(path: &Path) -> Self {
        let note = path.with_extension("held");
        let process = Command::new("python3")
            .args(["-c", LEASE])
            .args([path, &note])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let lease = Self(process);
        wait_until(|| note.exists().then_some(()));
        lease
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asserts that the daemon serves everything else while a file does not open.
fn assert_serving(daemon: &Daemon) {
    // The request that waits has arrived by then, or the test proves less.
    std::thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    assert_eq!(daemon.request("GET", "/health", &[], b"").status, 204);
    let stat = json!({"path": "/"});
    assert_eq!(unary(daemon, "/filesystem.Filesystem/Stat", &stat).status, 200);
    let ended = envelopes(&start(daemon, "exit 3", &[]).body);
    assert_eq!(ended[1].1["event"]["end"]["exitCode"], 3);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn file_that_does_not_open_holds_up_its_own_reader_only() {
    let daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "late").unwrap();
    let lease = Lease::take(&path);
    let target = format!("/files?path={}", path.display());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| daemon.request("GET", &target, &[], b"").body);
        assert_serving(&daemon);
        assert!(!reader.is_finished(), "the file was not held");
        drop(lease);
        assert_eq!(reader.join().unwrap(), b"late");
    });
}

#[test]
fn daemon_ends_although_a_file_does_not_open() {
    let mut daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "late").unwrap();
    let mut lease = Lease::take(&path);
    let mut client = daemon.connect();
    write!(
        client,
        "GET /files?path={} HTTP/1.1\r\nhost: x\r\n\r\n",
        path.display()
    )
    .unwrap();
    assert_serving(&daemon);
    assert!(daemon.terminate().success());
    assert!(lease.0.try_wait().unwrap().is_none(), "the file was not held");
}

#[test]
fn program_that_does_not_load_holds_up_its_own_start_only() {
    let daemon = Daemon::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("program");
    std::fs::copy("/bin/true", &path).unwrap();
    let lease = Lease::take(&path);
    let request = json!({"process": {"cmd": path}, "stdin": false});
    std::thread::scope(|scope| {
        let starter = scope.spawn(|| {
            let headers = [("content-type", STREAM)];
            let answer = daemon.request("POST", "/process.Process/Start", &headers, &envelope(&request));
            envelopes(&answer.body)
        });
        assert_serving(&daemon);
        assert!(!starter.is_finished(), "the program was not held");
        drop(lease);
        let messages = starter.join().unwrap();
        let end = json!({"event": {"end": {"exited": true, "status": "exit status 0"}}});
        assert!(
            messages.contains(&(0, end)),
            "{:?}",
            messages
                .iter()
                .map(|(_, message)| message)
                .collect::<Vec<&Value>>()
        );
    });
}
