//! `silica certs issue`, the executable itself, with a real CA (Pebble) and a
//! real name server (Knot DNS): every provider, every way to fail, and signals.
//! In each case the records are gone afterwards.
//!
//! Needs `SILICA_PEBBLE` and `SILICA_KNOT`, and for the part that serves what was
//! ordered the cluster of `SILICA_TEST_KUBECONFIG`, without an installation.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod harness;
mod in_cluster;
mod signals;
mod stage;

use std::{fs, os::unix::fs::PermissionsExt as _, time::Instant};

use silica_acme_stage::SECRET;
use silica_free_ports::free_address;
use stage::{Stage, by_hand, domain, expect, records, verify_chain, words};

const FILES: [&str; 3] = ["fullchain.pem", "privkey.pem", "acme-account.json"];

#[track_caller]
fn verify_files(stage: &Stage) {
    verify_chain(&stage.read(FILES[0]), &stage.read(FILES[1]));
    for private in &FILES[1..] {
        let file = stage.folder.path().join("out").join(private);
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
}

#[test]
fn signed_updates_write_files_and_the_account_serves_again() {
    let Some(stage) = Stage::set() else { return };
    let refused = stage.issue(&[stage.ca()[..6].to_vec(), stage.good_updates()]);
    expect(&refused, 65, &["terms of service", "--agree-tos"]);
    let flags = [stage.ca(), stage.good_updates()];
    let first = expect(&stage.issue(&flags), 0, &["wrote out/fullchain.pem", &domain()]);
    verify_files(&stage);
    stage.verify_swept();
    let (key, account) = (stage.read(FILES[1]), stage.read(FILES[2]));

    // Nobody has to agree twice, and the name of the account stays.
    let again = stage.issue(&[stage.ca()[..6].to_vec(), stage.good_updates()]);
    let again = expect(&again, 0, &[]);
    verify_files(&stage);
    assert_eq!(stage.read(FILES[2]), account);
    assert_ne!(
        stage.read(FILES[1]),
        key,
        "every certificate has a key of its own"
    );
    let name = |text: &str| {
        let line = text.lines().find(|line| line.contains("Account: ")).unwrap();
        line.split_whitespace()
            .find(|word| word.starts_with("https://"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(name(&first), name(&again));
    stage.verify_swept();
}

#[test]
fn a_hook_writes_files() {
    let Some(stage) = Stage::set() else { return };
    let hook = stage.knot.hook(stage.folder.path());
    expect(&stage.issue(&[stage.ca(), stage.hook_flags(&hook)]), 0, &[]);
    verify_files(&stage);
    stage.verify_swept();
}

#[test]
fn a_person_is_guided_from_record_to_file() {
    let Some(stage) = Stage::set() else { return };
    let hook = stage.knot.hook(stage.folder.path());
    let mut run = stage.start(&[stage.ca(), stage.dns(&["manual"])]);
    let shown = run.records();
    assert_eq!(shown.len(), 2, "one for the apex, one for the wildcard");
    by_hand(&hook, "present", &shown);
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(0), "{said}");
    verify_files(&stage);
    let (_, after) = said.split_once("not needed any more").unwrap();
    assert_eq!(records(after), shown, "what to remove");
    by_hand(&hook, "cleanup", &records(after));
    stage.verify_swept();
}

#[test]
fn a_wrong_key_is_told_with_what_to_compare() {
    let Some(stage) = Stage::set() else { return };
    let other = SECRET.replace("c2V", "c2W");
    let flags = stage.updates(&stage.knot.address.to_string(), &other);
    let output = stage.issue(&[stage.ca(), flags]);
    let text = expect(&output, 1, &["BADSIG", "hint: compare the secret"]);
    assert!(!text.contains(&other), "{text}");
    // The server made no record: nobody is sent to look for one.
    assert!(!text.contains(" IN TXT "), "{text}");
    assert!(!stage.has_certificate());
    stage.verify_swept();
}

#[test]
fn a_name_server_that_is_not_there_is_named() {
    let Some(stage) = Stage::set() else { return };
    let nobody = free_address().to_string();
    let start = Instant::now();
    let output = stage.issue(&[stage.ca(), stage.updates(&nobody, SECRET)]);
    expect(&output, 1, &["failed to put the TXT records into DNS", &nobody]);
    assert!(start.elapsed().as_secs() < 25, "{:?}", start.elapsed());
    assert!(!stage.has_certificate());
    stage.verify_swept();
}

#[test]
fn a_ca_that_is_not_there_or_not_trusted_leaves_no_account() {
    let Some(stage) = Stage::set() else { return };
    let nobody = format!("https://{}/dir", free_address());
    let ca = words(&["--acme-directory", &nobody, "--agree-tos"]);
    let output = stage.issue(&[ca, stage.good_updates()]);
    expect(
        &output,
        1,
        &["failed to reach the CA at", &nobody, "Connection refused"],
    );
    let directory = stage.pebble.directory.to_string();
    let ca = words(&["--acme-directory", &directory, "--agree-tos"]);
    let output = stage.issue(&[ca, stage.good_updates()]);
    expect(&output, 1, &["UnknownIssuer", "--acme-ca FILE"]);
    assert!(!stage.folder.path().join("out").join(FILES[2]).exists());
    assert!(!stage.has_certificate());
    stage.verify_swept();
}

#[test]
fn a_hook_that_fails_half_way_is_quoted_and_taken_back() {
    let Some(stage) = Stage::set() else { return };
    let text = "if [ $1 = present ] && [ -e made ]; then echo the quota is used up >&2; exit 7; fi\n\
                touch made; exec $HOOK \"$@\"";
    let hook = stage.wrapped_hook(text);
    let output = stage.issue(&[stage.ca(), stage.hook_flags(&hook)]);
    expect(
        &output,
        1,
        &[
            "wrapper.sh present _acme-challenge.",
            "exit status: 7",
            "the quota is used up",
        ],
    );
    assert!(!stage.has_certificate());
    stage.verify_swept();
}

#[test]
fn records_that_a_hook_does_not_remove_are_listed_beside_the_certificate() {
    let Some(stage) = Stage::set() else { return };
    let hook = stage.wrapped_hook("[ $1 = present ] || exit 3; exec $HOOK \"$@\"");
    let output = stage.issue(&[stage.ca(), stage.hook_flags(&hook)]);
    let text = expect(&output, 0, &["TXT records were not removed", "exit status: 3"]);
    verify_files(&stage);
    let left = records(&text);
    assert_eq!(left.len(), stage.challenges().len(), "{text}");
    by_hand(&stage.knot.hook(stage.folder.path()), "cleanup", &left);
    stage.verify_swept();
}

#[test]
fn what_contradicts_itself_is_refused_before_anybody_is_asked() {
    let Some(stage) = Stage::set() else { return };
    let output = stage.issue(&[stage.ca(), stage.dns(&["exec"])]);
    expect(&output, 65, &["--dns exec needs --dns-exec PROGRAM"]);
    let output = stage.issue(&[stage.ca(), stage.updates("127.0.0.1", "not base64!")]);
    expect(&output, 65, &["failed to use the TSIG key"]);
    assert!(!stage.folder.path().join("out").exists());
}
