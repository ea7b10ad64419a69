//! What is left of heavy use.

use std::time::{Duration, Instant};

use crate::fixture::Daemon;
use crate::start;

/// Growth that may stay: buffers that are kept for the next request, pages of code.
const ALLOWED_GROWTH_KIB: u64 = 3 * 1024;

#[test]
fn memory_of_busy_streams_and_transfers_is_given_back() {
    let daemon = Daemon::start(&[]);
    start(&daemon, "true", &[]);
    let before = daemon.resident_kib();
    let directory = tempfile::tempdir().unwrap();
    let content = vec![7; 16 << 20];
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (daemon, content) = (&daemon, &content);
            let path = format!("/files?path={}/{number}", directory.path().display());
            scope.spawn(move || {
                let octets = [("content-type", "application/octet-stream")];
                assert_eq!(daemon.request("POST", &path, &octets, content).status, 200);
                assert_eq!(daemon.request("GET", &path, &[], b"").body.len(), content.len());
                let gzip = [("accept-encoding", "gzip")];
                assert_eq!(daemon.request("GET", &path, &gzip, b"").status, 200);
                start(daemon, "head -c 8000000 /dev/zero", &[]);
            });
        }
    });
    let busy = daemon.resident_kib();
    let begin = Instant::now();
    loop {
        let after = daemon.resident_kib();
        if after <= before + ALLOWED_GROWTH_KIB {
            println!(
                "resident memory: {before} KiB at first, {busy} KiB after the work, {after} KiB at rest"
            );
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(25),
            "{before} KiB before, {busy} KiB after the work, {after} KiB at rest"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}
