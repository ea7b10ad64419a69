//! An order that is given up from outside takes its records back first.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use silica_acme_stage::Knot;

use crate::stage::{Stage, records, words};

/// A stage whose orders wait for a second name server, which never shows anything.
fn waiting() -> Option<(Stage, Knot)> {
    Some((Stage::set()?, Knot::start("")?))
}

fn never_seen(late: &Knot) -> Vec<String> {
    words(&["--dns-check", &late.address.to_string()])
}

#[test]
fn signed_updates_are_taken_back_on_either_signal() {
    let Some((stage, late)) = waiting() else { return };
    for (signal, code, word) in [("-TERM", 143, "terminated"), ("-INT", 130, "interrupted")] {
        let mut run = stage.start(&[stage.ca(), stage.good_updates(), never_seen(&late)]);
        run.wait_until("the CA would look", |said| said.contains("not seen everywhere"));
        assert_eq!(stage.challenges().len(), 2);
        run.signal(signal);
        let (status, said) = run.end();
        assert_eq!(status.code(), Some(code), "{said}");
        for part in [
            &format!("error: {word} in phase \"Certificate\""),
            "the TXT records are removed",
        ] {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
        assert!(!stage.has_certificate());
        stage.verify_swept();
    }
}

#[test]
fn a_hook_at_work_is_ended_with_all_it_started() {
    let Some(stage) = Stage::set() else { return };
    // The second record would come late, behind the cleanup, from a child of the hook.
    let hook = stage.wrapped_hook(
        "if [ $1 = present ] && [ -e made ]; then touch late; (sleep 2; $HOOK \"$@\"); fi\n\
         touch made; exec $HOOK \"$@\"",
    );
    let late = stage.folder.path().join("late");
    let mut run = stage.start(&[stage.ca(), stage.hook_flags(&hook)]);
    run.wait_until("the hook is at its second record", |_| late.exists());
    assert_eq!(stage.challenges().len(), 1);
    let start = Instant::now();
    run.signal("-TERM");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(143), "{said}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    std::thread::sleep(Duration::from_millis(2300));
    stage.verify_swept();
}

#[test]
fn ctrl_c_does_not_reach_the_hook_that_cleans_up() {
    let Some((stage, late)) = waiting() else { return };
    let hook = stage.wrapped_hook("[ $1 = present ] || sleep 1; exec $HOOK \"$@\"");
    let mut command = stage.command(&[stage.ca(), stage.hook_flags(&hook), never_seen(&late)]);
    // As on a terminal: the signal goes to everybody in the group.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let group = format!("-{}", child.id());
    let mut run = crate::stage::Run::of(child);
    run.wait_until("the CA would look", |said| said.contains("not seen everywhere"));
    let press = || {
        Command::new("kill")
            .args(["-INT", "--", &group])
            .status()
            .unwrap()
    };
    assert!(press().success());
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(130), "{said}");
    stage.verify_swept();
}

#[test]
fn a_second_signal_ends_at_once() {
    let Some((stage, late)) = waiting() else { return };
    // Ends by itself behind the test, as a hook does that nobody waits for.
    let hook = stage.wrapped_hook("if [ $1 = cleanup ]; then touch cleaning; sleep 8; fi; exec $HOOK \"$@\"");
    let cleaning = stage.folder.path().join("cleaning");
    let mut run = stage.start(&[stage.ca(), stage.hook_flags(&hook), never_seen(&late)]);
    run.wait_until("the CA would look", |said| said.contains("not seen everywhere"));
    run.signal("-TERM");
    run.wait_until("the hook cleans up", |_| cleaning.exists());
    let start = Instant::now();
    run.signal("-INT");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_person_who_gives_up_hears_what_to_remove() {
    let Some(stage) = Stage::set() else { return };
    let mut run = stage.start(&[stage.ca(), stage.dns(&["manual"])]);
    let shown = run.records();
    run.signal("-INT");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(130), "{said}");
    let (_, after) = said.split_once("not needed any more").unwrap();
    assert_eq!(records(after), shown);
}
