//! Process 1 around the user's command.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::{DAEMON, isolated, wait_until};

fn run(command: &[&str]) -> Output {
    isolated(&[DAEMON, "init"])
        .arg("--")
        .args(command)
        .output()
        .unwrap()
}

#[test]
fn exit_code_of_the_command_is_that_of_the_container() {
    assert_eq!(run(&["sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).status.code(), Some(128 + 9));
    let missing = run(&["/does/not/exist"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/does/not/exist"));
    assert_eq!(run(&["/etc/passwd"]).status.code(), Some(126));
}

#[test]
fn orphans_are_collected_and_arguments_arrive_as_they_are() {
    // The subshell ends at once and leaves `true` to process 1, which has to collect it.
    let script =
        "(sh -c 'sleep 0.1; true' &) ; sleep 0.5; cat /proc/[0-9]*/stat | grep -c ' Z ' ; echo \"$1\" $$";
    let output = run(&["sh", "-c", script, "sh", "--a b"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "0", "no zombie is left");
    assert!(lines[1].starts_with("--a b "));
    assert_ne!(lines[1], "--a b 1", "the command is not process 1");
}

#[test]
fn signals_are_passed_on() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready");
    let script = format!(
        "trap 'exit 42' TERM; trap 'echo hup' HUP; touch {}; while :; do sleep 0.02; done",
        ready.display()
    );
    let init = Command::new(DAEMON)
        .args(["init", "--", "sh", "-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(|| ready.exists().then_some(()));
    let pid = Pid::from_raw(init.id().cast_signed());
    kill(pid, Signal::SIGHUP).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    kill(pid, Signal::SIGTERM).unwrap();
    let output = init.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(output.stdout, b"hup\n");
}
