//! No output may quote a secret: keys, tokens, passwords and credentials are damaged in every way
//! that editors, shells and CI systems know, handed to every command that reads them, and eight
//! letters in a row of them are searched in everything that is printed. No cluster is needed.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod material;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use material::{Secret, mutations};

/// So many letters of a secret in a row are a leak.
const LEAK: usize = 8;

/// Runs the binary in a folder, with nothing of this machine's settings.
fn silica(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_silica"))
        .args(arguments)
        .env_clear()
        .env("HOME", folder)
        .env("PATH", "/usr/bin:/bin")
        .env("RUST_LOG", "trace")
        .current_dir(folder)
        .output()
        .unwrap()
}

/// The letters of the secret that stand in the text, if there are enough of them in a row.
fn leaked(text: &str, secret: &str) -> Option<String> {
    let compact = |text: &str| -> Vec<u8> { text.bytes().filter(u8::is_ascii_alphanumeric).collect() };
    let (text, secret) = (compact(text), compact(secret));
    let window = secret
        .windows(LEAK)
        .find(|part| text.windows(LEAK).any(|found| found == *part));
    window.map(|part| String::from_utf8_lossy(part).into_owned())
}

#[track_caller]
fn expect_silence(output: &Output, secret: &str, what: &str) {
    for stream in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(stream);
        if let Some(part) = leaked(&text, secret) {
            assert!(part.is_empty(), "{what}: {part:?} is in the output:\n{text}");
        }
    }
}

/// Hands every mutation of the secret to every command. `FILE` stands for the damaged file.
fn try_all(secret: &Secret, commands: &[&[&str]]) {
    let folder = tempfile::tempdir().unwrap();
    material::write_good(folder.path());
    for (name, content) in mutations(&secret.text) {
        fs::write(folder.path().join("FILE"), &content).unwrap();
        for command in commands {
            let output = silica(folder.path(), command);
            let what = format!("{} {name}: silica {}", secret.kind, command.join(" "));
            expect_silence(&output, &secret.letters, &what);
            // A panic tells where, and not what to do.
            assert_ne!(output.status.code(), Some(101), "{what} panicked");
            assert_ne!(output.status.code(), Some(134), "{what} panicked");
        }
    }
}

#[test]
fn search_finds_what_is_wrapped_or_quoted() {
    assert_eq!(leaked("x: \"abcd\\nefgh\"", "abcdefgh"), None);
    assert_eq!(leaked("| abcd\n| efghi", "abcdefgh").unwrap(), "abcdefgh");
    assert_eq!(leaked("abcdefg", "abcdefgh"), None);
}

#[test]
fn private_keys_stay_in_their_files() {
    for secret in material::private_keys() {
        try_all(
            &secret,
            &[
                &[
                    "certs",
                    "import",
                    "--cert",
                    "good.pem",
                    "--key",
                    "FILE",
                    "--dry-run",
                    "-d",
                    "a.example.com",
                ],
                &[
                    "certs",
                    "import",
                    "--cert",
                    "FILE",
                    "--key",
                    "good.key",
                    "--dry-run",
                    "-d",
                    "a.example.com",
                ],
                &[
                    "certs",
                    "import",
                    "--cert",
                    "good.pem",
                    "--key",
                    "good.key",
                    "--ca",
                    "FILE",
                    "--dry-run",
                    "-d",
                    "a.example.com",
                ],
                &[
                    "certs",
                    "generate",
                    "--ca-cert",
                    "good.pem",
                    "--ca-key",
                    "FILE",
                    "-d",
                    "a.example.com",
                    "-o",
                    "out",
                ],
                &[
                    "certs",
                    "generate",
                    "--ca-cert",
                    "FILE",
                    "--ca-key",
                    "good.key",
                    "-d",
                    "a.example.com",
                    "-o",
                    "out",
                ],
                &["certs", "inspect", "./FILE"],
                &["certs", "inspect", "good.pem", "--ca", "FILE"],
                &["certs", "trust", "--ca", "FILE"],
                &[
                    "install",
                    "--values",
                    "FILE",
                    "--domain",
                    "a.example.com",
                    "--dry-run",
                ],
                &["status", "--kubeconfig", "FILE"],
            ],
        );
    }
}

#[test]
fn kubeconfigs_stay_in_their_files() {
    for secret in material::kubeconfigs() {
        try_all(
            &secret,
            &[
                &["status", "--kubeconfig", "FILE", "--timeout", "2s"],
                &[
                    "install",
                    "--kubeconfig",
                    "FILE",
                    "--domain",
                    "a.example.com",
                    "--dry-run",
                    "--timeout",
                    "2s",
                ],
            ],
        );
    }
}

#[test]
fn passwords_and_shared_secrets_stay_in_their_files() {
    let secret = Secret::plain("password");
    let key = [
        "certs",
        "import",
        "--cert",
        "good.pem",
        "--key",
        "good.key",
        "--dry-run",
        "-d",
        "a.example.com",
    ];
    let order = [
        "certs",
        "issue",
        "-d",
        "a.example.com",
        "--acme-directory",
        "https://127.0.0.1:1/dir",
        "--accept-terms",
    ];
    let order: Vec<&str> = order
        .iter()
        .copied()
        .filter(|word| *word != "--accept-terms")
        .collect();
    let with = |base: &[&'static str], more: &[&'static str]| [base, more].concat();
    let commands = [
        with(&key, &["--key-password-file", "FILE"]),
        with(&order, &["--eab-kid", "k", "--eab-key-file", "FILE"]),
        with(
            &order,
            &[
                "--dns-update",
                "127.0.0.1:1",
                "--tsig-key",
                "k",
                "--tsig-secret-file",
                "FILE",
            ],
        ),
        vec![
            "install",
            "--domain",
            "a.example.com",
            "--admin-key-file",
            "FILE",
            "--dry-run",
        ],
    ];
    let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
    try_all(&secret, &commands);
}

#[test]
fn values_of_a_settings_file_stay_in_it() {
    let secret = Secret::in_yaml("settings", "admin-key: {}\ndomain: [a.example.com\n");
    try_all(&secret, &[&["install", "--values", "FILE", "--dry-run"]]);
}
