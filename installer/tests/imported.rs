//! `silica certs import` and `export` against a real API server, named by the
//! kubeconfig in `SILICA_TEST_KUBECONFIG`: what is refused leaves the cluster as it
//! was, and an encrypted key arrives without its password. No node is needed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

#[allow(dead_code, reason = "this test needs little of it")]
mod harness;

use std::{
    fs::File,
    path::Path,
    process::{Command, Output},
};

use harness::{Harness, NO_IMAGES, UNINSTALL};
use silica_api::names;

const PASSWORD: &str = "correct horse 9";

#[track_caller]
fn expect(output: &Output, code: i32, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains(PASSWORD), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// A pair of openssl's for the domain, with its key encrypted; and one that lacks the wildcard.
fn files(folder: &Path) {
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    std::fs::write(folder.join("wrong"), "battery staple 7").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=ca";
    let ca = "-addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.pem";
    let leaf = "-CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE \
                -addext subjectAltName=DNS:silica.localhost";
    for line in [
        format!("req -x509 {key} {ca}"),
        format!("req -x509 {key} {leaf},DNS:*.silica.localhost -keyout good.key -out good.pem"),
        format!("req -x509 {key} {leaf} -keyout apex.key -out apex.pem"),
        "pkcs8 -topk8 -v2 aes-256-cbc -in good.key -passout file:password -out locked.key".to_owned(),
    ] {
        let output = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "openssl {line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_good_reaches_the_cluster() {
    let Some(harness) = Harness::connect().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let install = ["install", "--no-wait", "--domain", "silica.localhost"];
    expect(&harness.silica(&[&install, &NO_IMAGES[..]].concat()), 0, &[]);
    let before = (harness.secrets().await, harness.state().await);

    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut export = Command::new(env!("CARGO_BIN_EXE_silica"));
    export
        .args(["certs", "export", "--kubeconfig"])
        .arg(harness.kubeconfig());
    expect(&export.output().unwrap(), 0, &[]);
    expect(
        &export.stdout(full).output().unwrap(),
        1,
        &["failed to write the result to standard output", "No space left"],
    );

    let folder_of = path("exported");
    let exported = harness.silica(&["certs", "export", "-o", &folder_of]);
    expect(&exported, 0, &["ca.crt", "ca-bundle.crt"]);
    let lines = String::from_utf8_lossy(&exported.stdout).into_owned();
    let bundle = format!("export SSL_CERT_FILE={folder_of}/ca-bundle.crt");
    let ours = format!("export NODE_EXTRA_CA_CERTS={folder_of}/ca.crt");
    assert!(lines.contains(&bundle) && lines.contains(&ours), "{lines}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join("exported").join(name)).unwrap();
    assert!(read("ca-bundle.crt").contains(&read("ca.crt")));
    let shown = harness.silica(&["certs", "inspect", "--cluster"]);
    expect(&shown, 0, &[]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("key usage    digitalSignature") && shown.contains("keyCertSign, cRLSign"),
        "{shown}"
    );

    let import = |cert: &str, key: &str, more: &[&str]| {
        let (cert, key) = (path(cert), path(key));
        let args = ["certs", "import", "--cert", &cert, "--key", &key];
        harness.silica(&[&args, more].concat())
    };
    let (password, wrong, ca) = (path("password"), path("wrong"), path("ca.pem"));
    expect(
        &import("locked.key", "locked.key", &[]),
        65,
        &["ENCRYPTED PRIVATE KEY section", "is encrypted"],
    );
    let opened = ["--ca", &ca, "--key-password-file", &password];
    let not_opened = ["--ca", &ca, "--key-password-file", &wrong];
    expect(
        &import("good.pem", "locked.key", &not_opened),
        65,
        &["does not open"],
    );
    expect(
        &import("apex.pem", "good.key", &["--ca", &ca]),
        79,
        &["*.silica.localhost", "does not belong"],
    );
    expect(
        &import("good.pem", "good.key", &["--dry-run"]),
        79,
        &["name the CA with --ca FILE"],
    );
    let dry = [&opened[..], &["--dry-run"]].concat();
    expect(&import("good.pem", "locked.key", &dry), 0, &[]);
    // Nothing serves here: whether it is served could not be seen.
    expect(
        &import("good.pem", "locked.key", &opened),
        79,
        &["nothing was changed", "nothing answers from here", "--no-verify"],
    );
    let unseen = ["rotate-certs"];
    expect(&harness.silica(&unseen), 79, &["nothing was changed"]);
    for step in [&["--step", "prepare"], &["--step", "spread"]] {
        expect(
            &harness.silica(&[&["rotate-certs", "--ca"], &step[..]].concat()),
            0,
            &[],
        );
    }
    for last in [&["--step", "switch"][..], &["--emergency"]] {
        let args = [&["rotate-certs", "--ca"], last].concat();
        expect(&harness.silica(&args), 79, &["nothing answers from here"]);
    }
    expect(
        &harness.silica(&["rotate-certs", "--ca", "--abort"]),
        0,
        &["the rotation is undone"],
    );
    assert!(
        (harness.secrets().await, harness.state().await) == before,
        "the cluster is not as before"
    );

    let unseen = [&opened[..], &["--no-verify"]].concat();
    expect(
        &import("good.pem", "locked.key", &unseen),
        0,
        &["not verified (--no-verify)"],
    );
    let served = harness.secrets().await[names::TLS_SECRET].clone();
    let shown = Command::new("openssl")
        .args(["pkey", "-in"])
        .arg(folder.path().join("good.key"))
        .output()
        .unwrap();
    assert_eq!(
        served["tls.key"],
        base64(&shown.stdout),
        "the key is kept in the clear"
    );
    its_ca_is_what_clients_get(&harness, folder.path(), &[&install, &NO_IMAGES[..]].concat());
    // It was brought, so it stays.
    expect(&harness.silica(&UNINSTALL), 0, &[]);
    assert_eq!(harness.secrets().await[names::TLS_SECRET], served);
    harness.remove_namespace().await;
}

/// Not Silica's own, which is still in the cluster: it refuses what is served.
fn its_ca_is_what_clients_get(harness: &Harness, folder: &Path, install: &[&str]) {
    let ca = std::fs::read_to_string(folder.join("ca.pem")).unwrap();
    let export = harness.silica(&["certs", "export"]);
    assert_eq!(String::from_utf8_lossy(&export.stdout), ca);
    let file = |name: &str| folder.join(name).display().to_string();
    let (by_env, by_install) = (file("env.pem"), file("install.pem"));
    expect(&harness.silica(&["env", "--ca-file", &by_env]), 0, &[]);
    expect(
        &harness.silica(&[install, &["--ca-file", &by_install]].concat()),
        0,
        &[],
    );
    for written in [by_env, by_install] {
        assert_eq!(std::fs::read_to_string(&written).unwrap(), ca, "{written}");
    }
    let inspect = harness.silica(&["certs", "inspect", "--cluster", "-o", "json"]);
    let groups: serde_json::Value = serde_json::from_slice(&inspect.stdout).unwrap();
    assert_eq!(groups[0]["verdict"]["accepted"], true, "{}", groups[0]["verdict"]);
    let trust = harness.silica(&["certs", "trust", "-o", "json"]);
    let told: serde_json::Value = serde_json::from_slice(&trust.stdout).unwrap();
    assert_eq!(told["certificates"][0]["subject"], "CN=ca", "{told}");
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
