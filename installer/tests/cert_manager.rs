//! Certificates that cert-manager keeps, on a real API server named by the kubeconfig in
//! `SILICA_TEST_KUBECONFIG`: used, told to clients, and never written or removed. The
//! Secrets are those that cert-manager writes by default, with keys in SEC1 form; neither
//! cert-manager nor a node is needed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

#[allow(dead_code, reason = "this test needs little of it")]
mod harness;

use std::{
    path::Path,
    process::{Command, Output},
};

use harness::{Harness, NO_IMAGES, UNINSTALL};
use k8s_openapi::{
    ByteString,
    api::core::v1::{Namespace, Secret},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use silica_api::{labels, names};

#[track_caller]
fn expect(output: &Output, code: i32, parts: &[&str]) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    text
}

/// A CA and a certificate of it for the domain, with their keys in SEC1 form.
fn files(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90";
    let ca = "-subj /CN=wildcard-ca -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem";
    let leaf = "-subj /CN=silica.localhost -CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE \
                -addext extendedKeyUsage=serverAuth \
                -addext subjectAltName=DNS:silica.localhost,DNS:*.silica.localhost -keyout leaf.key -out leaf.pem";
    for line in [
        format!("req -x509 {key} {ca}"),
        format!("req -x509 {key} {leaf}"),
        "ec -in ca.key -out ca.sec1".to_owned(),
        "ec -in leaf.key -out leaf.sec1".to_owned(),
    ] {
        let output = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {line}: {said}");
    }
}

/// A Secret as cert-manager writes it.
fn kept(folder: &Path, name: &str, certificate: &str, file: &str) -> Secret {
    let read = |name: &str| ByteString(std::fs::read(folder.join(name)).unwrap());
    let mut secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {labels::CERT_MANAGER_CERTIFICATE: certificate,
            "cert-manager.io/issuer-kind": "Issuer", "cert-manager.io/issuer-name": "silica"}},
        "type": "kubernetes.io/tls",
    }))
    .unwrap();
    secret.data = Some(
        [
            ("tls.crt".to_owned(), read(&format!("{file}.pem"))),
            ("tls.key".to_owned(), read(&format!("{file}.sec1"))),
            ("ca.crt".to_owned(), read("ca.pem")),
        ]
        .into(),
    );
    secret
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cert_manager_keeps_is_left_to_it() {
    let Some(harness) = Harness::connect().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": names::NAMESPACE}})).unwrap();
    let namespaces: Api<Namespace> = Api::all(harness.client());
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let secrets: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    let all = [
        (names::CA_SECRET, "wildcard-ca", "ca"),
        (names::TLS_SECRET, "sandbox-manager-ingress-cert", "leaf"),
    ];
    for (name, certificate, file) in all {
        let secret = kept(folder.path(), name, certificate, file);
        secrets.create(&PostParams::default(), &secret).await.unwrap();
    }
    let theirs = async || {
        let of = async |name| {
            let secret = secrets.get(name).await.unwrap();
            (secret.metadata.resource_version, secret.metadata.uid)
        };
        (of(names::CA_SECRET).await, of(names::TLS_SECRET).await)
    };
    let before = theirs().await;

    let install = ["install", "--no-wait", "--adopt", "--domain", "silica.localhost"];
    let install = [&install, &NO_IMAGES[..]].concat();
    expect(&harness.silica(&install), 0, &[]);
    expect(&harness.silica(&install), 0, &[]);
    assert_eq!(theirs().await, before, "written by install");
    let ca = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    let export = harness.silica(&["certs", "export"]);
    assert_eq!(String::from_utf8_lossy(&export.stdout), ca);
    let inspect = ["certs", "inspect", "--cluster"];
    expect(
        &harness.silica(&inspect),
        0,
        &["accepted with the CA that came with it"],
    );

    // Whoever would write is sent to cert-manager.
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (path("leaf.pem"), path("leaf.key"));
    let import = ["certs", "import", "--cert", &cert, "--key", &key, "--no-verify"];
    for args in [
        &["rotate-certs", "--no-verify"][..],
        &["rotate-certs", "--ca", "--emergency", "--no-verify"],
        &import,
    ] {
        let parts = ["kept by cert-manager", "cmctl renew -n sandbox-system"];
        expect(&harness.silica(args), 79, &parts);
    }
    assert_eq!(theirs().await, before, "written by another command");

    // A Certificate that is put over a Secret of ours leaves our label in place.
    let label = json!({"metadata": {"labels": {labels::APP_MANAGED_BY: names::PRODUCT}}});
    for (name, ..) in all {
        secrets
            .patch(name, &PatchParams::default(), &Patch::Merge(&label))
            .await
            .unwrap();
    }
    let before = theirs().await;
    expect(&harness.silica(&install), 0, &[]);
    assert_eq!(theirs().await, before, "overwritten, since the label is ours");

    expect(&harness.silica(&["uninstall", "--delete-sandboxes"]), 0, &[]);
    assert_eq!(theirs().await, before, "removed by uninstall");
    expect(&harness.silica(&install), 0, &[]);
    expect(&harness.silica(&UNINSTALL), 0, &[]);
    harness.remove_namespace().await;
}
