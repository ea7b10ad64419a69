//! `silica certs` with files made by openssl: codes and messages, no cluster.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod local;

use std::path::Path;

use local::{run, silica, text};

fn openssl(args: &[&str], folder: &Path) {
    let output = run("openssl", args, folder);
    assert!(
        output.status.success(),
        "openssl {args:?}: {}",
        text(&output.stderr)
    );
}

/// A certificate and key of openssl's making: `cert.pem`, `key.pem`.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem \
                   -days 30 -subj /CN=a.example.com -addext subjectAltName=DNS:a.example.com,DNS:*.a.example.com";
    openssl(&request.split_whitespace().collect::<Vec<_>>(), folder.path());
    folder
}

const IMPORT: [&str; 6] = ["certs", "import", "--cert", "cert.pem", "--key", "key.pem"];

#[test]
fn damaged_files_are_all_named_before_the_cluster_is_asked() {
    let folder = made();
    let whole = std::fs::read_to_string(folder.path().join("cert.pem")).unwrap();
    std::fs::write(folder.path().join("cert.pem"), &whole[..whole.len() / 2]).unwrap();
    openssl(
        &[
            "pkey",
            "-in",
            "key.pem",
            "-aes256",
            "-passout",
            "pass:secret",
            "-out",
            "locked.pem",
        ],
        folder.path(),
    );
    std::fs::rename(folder.path().join("locked.pem"), folder.path().join("key.pem")).unwrap();
    let output = silica(&IMPORT, folder.path());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{message}");
    assert!(message.contains("cert.pem: "), "{message}");
    assert!(
        message.contains("key.pem: the private key is encrypted"),
        "{message}"
    );
}

#[test]
fn der_is_told_how_to_become_pem() {
    let folder = made();
    openssl(
        &["x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.der"],
        folder.path(),
    );
    let args = ["certs", "import", "--cert", "cert.der", "--key", "key.pem"];
    let output = silica(&args, folder.path());
    assert_eq!(output.status.code(), Some(65));
    assert!(
        text(&output.stderr).contains("openssl x509 -inform DER"),
        "{}",
        text(&output.stderr)
    );
    let shown = silica(&["certs", "inspect", "cert.der"], folder.path());
    assert!(shown.status.success());
    assert!(text(&shown.stdout).contains("a.example.com"));
}

#[test]
fn missing_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = silica(&IMPORT, folder.path());
    assert!(text(&output.stderr).contains("cert.pem"));
    assert_ne!(output.status.code(), Some(0));
    let output = silica(&["certs", "inspect", "missing.pem"], folder.path());
    assert!(text(&output.stderr).contains("missing.pem"));
}

#[test]
fn a_certificate_is_shown_as_openssl_sees_it() {
    let folder = made();
    let output = silica(&["certs", "inspect", "cert.pem", "-o", "json"], folder.path());
    let message = text(&output.stderr);
    assert!(output.status.success(), "{message}");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let certificate = &shown[0]["certificates"][0];
    let seen = run(
        "openssl",
        &["x509", "-in", "cert.pem", "-noout", "-fingerprint", "-sha256"],
        folder.path(),
    );
    let fingerprint = text(&seen.stdout)
        .trim()
        .split_once('=')
        .unwrap()
        .1
        .replace(':', "");
    assert_eq!(certificate["fingerprint"], fingerprint.to_lowercase());
    assert_eq!(certificate["names"][1], "*.a.example.com");
    assert_eq!(certificate["key"], "ECDSA P-256");
}

#[test]
fn a_chain_that_the_given_authority_has_not_signed_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    for (domain, dir) in [("a.example.com", "one"), ("a.example.com", "two")] {
        let made = silica(&["certs", "generate", "-d", domain, "-o", dir], folder.path());
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    let inspect = |ca| {
        let output = silica(
            &["certs", "inspect", "one/fullchain.pem", "--ca", ca],
            folder.path(),
        );
        output.status.code()
    };
    assert_eq!(inspect("one/ca-fullchain.pem"), Some(0));
    assert_eq!(inspect("two/ca-fullchain.pem"), Some(79));
}

#[test]
fn what_is_neither_file_nor_host_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = silica(&["certs", "inspect", "a:b:c"], folder.path());
    assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
    assert_eq!(
        silica(&["certs", "inspect"], folder.path()).status.code(),
        Some(64)
    );
}
