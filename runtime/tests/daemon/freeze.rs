//! Everything in a sandbox stands still, and goes on.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{DAEMON, Daemon, envelope, envelopes, wait_until};
use crate::{start, unary};

/// Long enough for anything that runs to show it.
const WHILE: Duration = Duration::from_millis(300);

fn sandbox() -> Daemon {
    Daemon::start_isolated(&[DAEMON, "init", "--"])
}

fn post(daemon: &Daemon, path: &str) -> Value {
    let response = daemon.request("POST", path, &[], b"");
    assert_eq!(
        response.status,
        200,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    response.json()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn running_command_and_its_stream_go_on_where_they_were() {
    let daemon = sandbox();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("count");
    let script = format!(
        "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; echo $i >> {}; sleep 0.01; done",
        file.display()
    );
    let response = std::thread::scope(|scope| {
        let stream = scope.spawn(|| start(&daemon, &script, &[]));
        wait_until(|| (read(&file).lines().count() > 5).then_some(()));
        let frozen = post(&daemon, "/freeze");
        assert!(frozen["processes"].as_u64().unwrap() >= 1);
        assert_eq!(
            (&frozen["firstProcessRuns"], &frozen["running"]),
            (&json!(false), &json!([]))
        );
        let before = read(&file);
        std::thread::sleep(WHILE);
        assert_eq!(read(&file), before, "nothing may run");
        assert!(post(&daemon, "/thaw")["processes"].as_u64().unwrap() >= 1);
        stream.join().unwrap()
    });
    let expected: Vec<String> = (1..=60).map(|number: u8| number.to_string()).collect();
    assert_eq!(read(&file).lines().collect::<Vec<_>>(), expected);
    let messages = envelopes(&response.body);
    let ended = messages
        .iter()
        .find_map(|(_, message)| message["event"].get("end"));
    assert_eq!(ended.unwrap()["status"], "exit status 0");
}

#[test]
fn frozen_sandbox_answers_probes_only() {
    let daemon = sandbox();
    post(&daemon, "/freeze");
    assert_eq!(
        post(&daemon, "/freeze")["running"],
        json!([]),
        "a second pause changes nothing"
    );
    assert_eq!(daemon.request("GET", "/health", &[], b"").status, 204);
    assert_eq!(daemon.request("GET", "/metrics", &[], b"").status, 200);
    assert_eq!(
        daemon.request("GET", "/files?path=/etc/passwd", &[], b"").status,
        503
    );
    assert_eq!(start(&daemon, "true", &[]).status, 503);
    let list = unary(&daemon, "/process.Process/List", &json!({}));
    assert!(
        list.json()["message"]
            .as_str()
            .unwrap()
            .contains("resume it first")
    );
    post(&daemon, "/thaw");
    assert_eq!(post(&daemon, "/thaw")["processes"], 0);
    assert_eq!(start(&daemon, "true", &[]).status, 200);
}

#[test]
fn routes_need_the_token_and_a_namespace_of_their_own() {
    let fingerprint = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";
    let daemon = Daemon::start(&[("SILICA_ACCESS_TOKEN_SHA256", fingerprint)]);
    for path in ["/freeze", "/thaw"] {
        assert_eq!(daemon.request("POST", path, &[], b"").status, 401, "{path}");
    }
    let isolated = fs::read_link("/proc/self/ns/pid").unwrap() != Path::new("pid:[4026531836]");
    if !isolated {
        let refused = daemon.request("POST", "/freeze", &[("x-access-token", "token")], b"");
        assert_eq!(refused.status, 409, "the machine itself must not be frozen");
        assert!(refused.json()["message"].as_str().unwrap().contains("hostPID"));
    }
}

#[test]
fn what_stood_still_before_stands_still_after() {
    let daemon = sandbox();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("count");
    let script = format!(
        "setsid sh -c 'while :; do echo x >> {}; sleep 0.01; done' </dev/null >/dev/null 2>&1 & sleep 0.2; kill -STOP $!; echo $!",
        file.display()
    );
    assert_eq!(start(&daemon, &script, &[]).status, 200);
    let before = read(&file);
    assert!(!before.is_empty());
    post(&daemon, "/freeze");
    post(&daemon, "/thaw");
    std::thread::sleep(WHILE);
    assert_eq!(read(&file), before, "the user's own stop was undone");
}

#[test]
fn foreground_job_of_an_interactive_shell_is_not_taken_for_stopped() {
    let daemon = sandbox();
    let directory = tempfile::tempdir().unwrap();
    let (count, done) = (directory.path().join("count"), directory.path().join("done"));
    let job = directory.path().join("job");
    fs::write(
        &job,
        format!(
            "for i in $(seq 80); do echo $i >> {}; sleep 0.01; done\n",
            count.display()
        ),
    )
    .unwrap();
    let typed = format!("sh {}; echo code $? > {}; exit\n", job.display(), done.display());
    let request = json!({
        "process": {"cmd": "/bin/bash", "args": ["--norc", "-i"], "envs": {"TERM": "dumb"}},
        "pty": {"size": {"cols": 200, "rows": 24}}, "tag": "shell",
    });
    let response = std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let headers = [("content-type", crate::STREAM)];
            daemon.request("POST", "/process.Process/Start", &headers, &envelope(&request))
        });
        let input = json!({"process": {"tag": "shell"}, "input": {"pty": base64(typed.as_bytes())}});
        wait_until(|| (unary(&daemon, "/process.Process/SendInput", &input).status == 200).then_some(()));
        wait_until(|| (read(&count).lines().count() > 5).then_some(()));
        for _ in 0..3 {
            post(&daemon, "/freeze");
            let before = read(&count);
            std::thread::sleep(WHILE / 3);
            assert_eq!(read(&count), before);
            post(&daemon, "/thaw");
            std::thread::sleep(WHILE / 6);
        }
        stream.join().unwrap()
    });
    assert_eq!(read(&done), "code 0\n");
    assert_eq!(read(&count).lines().count(), 80);
    assert_eq!(response.status, 200);
}

#[test]
fn many_processes_and_new_ones_are_stopped_quickly() {
    let daemon = sandbox();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("forks");
    let script = format!(
        "for i in $(seq 200); do sleep 100 </dev/null >/dev/null 2>&1 & done; \
         setsid sh -c 'while :; do (echo x >> {} &) ; done' </dev/null >/dev/null 2>&1 & sleep 0.2",
        file.display()
    );
    assert_eq!(start(&daemon, &script, &[]).status, 200);
    let begin = Instant::now();
    let frozen = post(&daemon, "/freeze");
    let call = begin.elapsed();
    assert!(frozen["processes"].as_u64().unwrap() > 200);
    let before = read(&file);
    std::thread::sleep(WHILE);
    assert_eq!(read(&file), before, "a process that was starting escaped");
    let thawed = post(&daemon, "/thaw");
    println!(
        "{} processes: frozen in {} us, thawed in {} us; the call took {call:?}",
        frozen["processes"], frozen["micros"], thawed["micros"]
    );
    wait_until(|| (read(&file) != before).then_some(()));
    assert!(call < Duration::from_secs(1));
}

#[test]
fn program_of_the_image_as_process_1_goes_on_and_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("count");
    let script = format!(
        "\"$@\" & while :; do echo x >> {}; sleep 0.01; done",
        file.display()
    );
    let daemon = Daemon::start_isolated(&["sh", "-c", &script, "sh"]);
    assert_eq!(post(&daemon, "/freeze")["firstProcessRuns"], true);
    // It goes on until it waits for a child, which stands still.
    post(&daemon, "/thaw");
    let before = read(&file);
    wait_until(|| (read(&file) != before).then_some(()));
}

/// Base64 of some bytes (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let chunks = bytes.chunks(3).map(|chunk| {
        let mut word = [0; 3];
        word[..chunk.len()].copy_from_slice(chunk);
        let number = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        let digits = (0..4).map(|index| {
            if index > chunk.len() {
                '='
            } else {
                char::from(DIGITS[(number >> (18 - 6 * index)) as usize & 63])
            }
        });
        digits.collect::<String>()
    });
    chunks.collect()
}
