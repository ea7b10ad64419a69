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
        assert_eq!(
            leaked(&text, secret),
            None,
            "{what}: it is in the output:\n{text}"
        );
    }
}

/// Hands every mutation of the secret to every command, whose words are separated by blanks. `FILE`
/// stands for the damaged file.
fn try_all(secret: &Secret, commands: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    material::write_good(folder.path());
    for (name, content) in mutations(&secret.text) {
        fs::write(folder.path().join("FILE"), &content).unwrap();
        for command in commands {
            let output = silica(folder.path(), &command.split(' ').collect::<Vec<_>>());
            let what = format!("{} {name}: silica {command}", secret.kind);
            expect_silence(&output, &secret.letters, &what);
            // Flags that do not exist would keep the file from being read at all.
            assert_ne!(output.status.code(), Some(64), "{what} is no command");
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
                "certs import --cert good.pem --key FILE --dry-run -d a.example.com",
                "certs import --cert FILE --key good.key --dry-run -d a.example.com",
                "certs import --cert good.pem --key good.key --ca FILE --dry-run -d a.example.com",
                "certs generate --ca-cert good.pem --ca-key FILE -d a.example.com -o out",
                "certs generate --ca-cert FILE --ca-key good.key -d a.example.com -o out",
                "certs inspect ./FILE",
                "certs inspect good.pem --ca FILE",
                "certs trust --ca FILE",
                "install --values FILE --domain a.example.com --dry-run --timeout 2s",
                "status --kubeconfig FILE",
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
                "status --kubeconfig FILE --timeout 2s",
                "install --kubeconfig FILE --domain a.example.com --dry-run --timeout 2s",
            ],
        );
    }
}

#[test]
fn passwords_and_shared_secrets_stay_in_their_files() {
    let order =
        "certs issue -d a.example.com --agree-tos --acme-directory https://127.0.0.1:1/dir --timeout 2s";
    try_all(
        &Secret::plain("password"),
        &[
            "certs import --cert good.pem --key good.key --dry-run -d a.example.com --key-password-file FILE",
            &format!("{order} --dns manual --eab-kid k --eab-key-file FILE"),
            &format!("{order} --dns rfc2136 --dns-server 127.0.0.1:1 --tsig-name k --tsig-secret-file FILE"),
            "install --domain a.example.com --admin-key-file FILE --dry-run --timeout 2s",
        ],
    );
}

#[test]
fn values_of_a_settings_file_stay_in_it() {
    let secret = Secret::in_yaml("settings", "admin-key: {}\ndomain: [a.example.com\n");
    try_all(&secret, &["install --values FILE --dry-run --timeout 2s"]);
}
