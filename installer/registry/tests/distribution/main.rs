//! Pushes to the CNCF's own registry server, named by `SILICA_REGISTRY`.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{fs, path::Path};

use silica_registry::{Address, Credentials, Error, Registry, Transport};

use self::server::{Server, certified, image};

mod server;
mod token;
mod token_server;

fn jane(password: &str) -> Credentials {
    Credentials::Basic {
        user: "jane".into(),
        password: password.into(),
    }
}

#[tokio::test]
async fn a_push_is_complete_and_a_second_one_sends_nothing() {
    let Some(server) = Server::plain() else { return };
    let registry = server.registry(Credentials::Anonymous);
    let image = image("amd64", "one");
    let images = std::slice::from_ref(&image);
    let first = registry.push("program", "1", images).await.unwrap();
    assert_eq!((first.sent, first.present), (3, 0));

    let manifest = server.get(&format!("program/manifests/{}", first.digest));
    assert_eq!(silica_oci::Digest::of(&manifest), image.digest().unwrap());
    let layer = &image.layers[0];
    let blob = server.get(&format!("program/blobs/{}", layer.digest()));
    assert_eq!(silica_oci::Digest::of(&blob), layer.digest());

    let second = registry.push("program", "1", images).await.unwrap();
    assert_eq!((second.digest, second.sent), (first.digest, 0));
    // Another tag of the same content needs its manifest only.
    let third = registry.push("program", "2", images).await.unwrap();
    assert_eq!((third.sent, third.present), (1, 2));
}

#[tokio::test]
async fn two_architectures_become_an_index() {
    let Some(server) = Server::plain() else { return };
    let registry = server.registry(Credentials::Anonymous);
    let images = [image("amd64", "one"), image("arm64", "two")];
    let pushed = registry.push("program", "1", &images).await.unwrap();
    let index = server.get("program/manifests/1");
    assert_eq!(silica_oci::Digest::of(&index), pushed.digest);
    let document: serde_json::Value = serde_json::from_slice(&index).unwrap();
    for (entry, image) in document["manifests"].as_array().unwrap().iter().zip(&images) {
        assert_eq!(entry["platform"]["architecture"], image.config.architecture);
        let manifest = server.get(&format!(
            "program/manifests/{}",
            entry["digest"].as_str().unwrap()
        ));
        assert_eq!(silica_oci::Digest::of(&manifest), image.digest().unwrap());
    }
    let again = registry.push("program", "1", &images).await.unwrap();
    assert_eq!(again.sent, 0);
}

#[tokio::test]
async fn the_password_of_docker_login_is_used_and_a_wrong_one_told() {
    let Some(server) = Server::with_password() else {
        return;
    };
    let images = [image("amd64", "one")];
    let found = server.docker_login().await;
    server
        .registry(found)
        .push("program", "1", &images)
        .await
        .unwrap();

    for (credentials, user) in [
        (jane("wrong"), "\"jane\""),
        (Credentials::Anonymous, "no credentials"),
    ] {
        let error = server
            .registry(credentials)
            .push("program", "2", &images)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Unauthorized { .. }), "{text}");
        for part in ["localhost", "team/silica/program", "401", user] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert!(!text.contains("wrong\"") && error.hint().unwrap().starts_with("docker login localhost"));
    }
}

#[tokio::test]
async fn tls_is_verified_with_the_named_ca() {
    let (authority, leaf) = certified();
    let write = |path: &Path| {
        fs::write(path.join("chain.pem"), leaf.chain_pem()).unwrap();
        fs::write(path.join("key.pem"), leaf.key_pem().expose()).unwrap();
        let folder = path.display();
        format!("  tls: {{certificate: {folder}/chain.pem, key: {folder}/key.pem}}\n")
    };
    let Some(server) = Server::start(write, |_| String::new()) else {
        return;
    };
    let images = [image("amd64", "one")];
    let ca = server.folder.path().join("ca.pem");
    fs::write(&ca, authority.certificate_pem()).unwrap();
    let registry =
        |transport: &Transport| Registry::new(server.address(), transport, Credentials::Anonymous).unwrap();
    let trusting = Transport {
        plain_http: false,
        ca: Some(ca),
    };
    registry(&trusting).push("program", "1", &images).await.unwrap();

    let error = registry(&Transport::default())
        .push("program", "1", &images)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--registry-ca"), "{error}");
}

#[tokio::test]
async fn plain_http_is_recognised_when_tls_was_expected() {
    let Some(server) = Server::plain() else { return };
    let registry = Registry::new(server.address(), &Transport::default(), Credentials::Anonymous).unwrap();
    let error = registry
        .push("program", "1", &[image("amd64", "one")])
        .await
        .unwrap_err();
    assert!(error.hint().unwrap().contains("--registry-plain-http"), "{error}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Nothing listens on port 1.
    for host in ["localhost:1", "registry.invalid"] {
        let address: Address = format!("{host}/silica").parse().unwrap();
        let registry = Registry::new(address, &Transport::default(), Credentials::Anonymous).unwrap();
        let error = registry
            .push("program", "1", &[image("amd64", "one")])
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(host), "{error}");
    }
}

#[tokio::test]
async fn a_read_only_registry_says_so() {
    let Some(server) = Server::start(
        |_| String::new(),
        |_| "  maintenance: {readonly: {enabled: true}}\n".into(),
    ) else {
        return;
    };
    let error = server
        .registry(Credentials::Anonymous)
        .push("program", "1", &[image("amd64", "one")])
        .await
        .unwrap_err();
    let Error::Refused { status, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*status, 405, "{error}");
    assert!(error.hint().unwrap().contains("read-only"), "{error}");
}
