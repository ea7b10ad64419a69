//! Results that do not reach anybody: a full disk is a failure, a reader that
//! has seen enough is not. No cluster.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Every command that prints a result and needs no cluster for it.
const COMMANDS: [&str; 21] = [
    "--help",
    "--version",
    "help certs",
    "certs import --help",
    "version",
    "version -o json",
    "completions bash",
    "man",
    "man certs import",
    "render --domain a.example.com --manager-image m:1 --runtime-image r:1",
    "rbac print --user somebody --domain a.example.com --manager-image m:1 --runtime-image r:1",
    "config schema",
    "config reference",
    "config explain --offline --domain a.example.com",
    "config explain --offline --domain a.example.com -o json",
    "doctor --list",
    "doctor UnknownIssuer -o json",
    "certs inspect out/fullchain.pem",
    "certs inspect out/fullchain.pem -o json",
    "certs trust --ca out/ca-fullchain.pem --system firefox",
    "certs trust --ca out/ca-fullchain.pem --system firefox -o json",
];

fn silica(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silica"));
    command
        .args(line.split(' '))
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with certificates to show.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = silica(folder.path(), "certs generate -d a.example.com -o out").output();
    assert!(made.unwrap().status.success());
    folder
}

#[test]
fn a_result_on_a_full_disk_is_a_failure() {
    let folder = folder();
    for line in COMMANDS {
        let well = silica(folder.path(), line).output().unwrap();
        assert!(well.status.success(), "silica {line}: {}", text(&well));
        assert!(!well.stdout.is_empty(), "silica {line} prints nothing");

        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = silica(folder.path(), line).stdout(full).output().unwrap();
        let message = text(&output);
        assert_eq!(output.status.code(), Some(1), "silica {line}: {message}");
        assert!(
            message.contains("failed to write the result to standard output")
                && message.contains("No space left"),
            "silica {line}: {message}"
        );
    }
}

#[test]
fn a_reader_that_has_seen_enough_hears_no_complaint() {
    let folder = folder();
    for line in COMMANDS {
        // Closed from the start.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = silica(folder.path(), line).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "silica {line}: {}", text(&output));
        assert!(
            !text(&output).contains("error"),
            "silica {line}: {}",
            text(&output)
        );
    }
    // Closed in the middle of more than a pipe holds.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut child = silica(folder.path(), "completions bash")
        .stdout(writer)
        .spawn()
        .unwrap();
    reader.read_exact(&mut [0; 16]).unwrap();
    drop(reader);
    assert!(child.wait().unwrap().success());
}

#[test]
fn findings_stay_findings_when_nobody_reads_them() {
    let folder = folder();
    let other = silica(folder.path(), "certs generate -d a.example.com -o other").output();
    assert!(other.unwrap().status.success());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let line = "certs inspect out/fullchain.pem --ca other/ca-fullchain.pem";
    let output = silica(folder.path(), line).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(79), "{}", text(&output));
}
