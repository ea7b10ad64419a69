//! Pushes to the CNCF's own registry server, named by `SILICA_REGISTRY`.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use silica_certs::{
    authority::{Authority, AuthorityRequest},
    leaf::LeafRequest,
};
use silica_oci::{Compression, Entry, Image, ImageConfig, Layer};
use silica_registry::{Address, Credentials, Error, Registry, Transport, credentials};
use time::OffsetDateTime;

/// Line of an htpasswd file: user `jane`, password `hush`, bcrypt of the lowest cost.
const HTPASSWD: &str = "jane:$2b$04$Ar6jTq7t0CGrlueNmOvEGuuA8NYnyoqh0Gj8U2Pw0qERTxJsK0.vm\n";

/// A running registry; ends with the value.
struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it with these more lines of configuration below `http` and at the top. `None`
    /// when no executable is named; on CI that is a failure.
    fn start(http: impl Fn(&Path) -> String, more: impl Fn(&Path) -> String) -> Option<Self> {
        let Some(executable) = env::var_os("SILICA_REGISTRY") else {
            assert!(
                env::var("CI").as_deref() != Ok("true"),
                "SILICA_REGISTRY must be set on CI"
            );
            println!("not run: SILICA_REGISTRY does not name a registry server");
            return None;
        };
        // Fails only when it was installed before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        // Free a moment ago, which is as good as a server that cannot tell its port allows.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nhttp:\n  addr: 127.0.0.1:{port}\n{}storage:\n  filesystem: \
             {{rootdirectory: {}/data}}\n{}",
            http(path),
            path.display(),
            more(path),
        );
        fs::write(path.join("config.yml"), config).unwrap();
        let mut child = Command::new(PathBuf::from(executable))
            .arg("serve")
            .arg(path.join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = log.any(|line| line.unwrap().contains("listening on"));
        // Its pipe must not fill up.
        std::thread::spawn(move || log.for_each(drop));
        let server = Self { child, port, folder };
        assert!(listening, "the registry did not start");
        Some(server)
    }

    fn plain() -> Option<Self> {
        Self::start(|_| String::new(), |_| String::new())
    }

    fn with_password() -> Option<Self> {
        Self::start(
            |_| String::new(),
            |path| {
                let file = path.join("htpasswd");
                fs::write(&file, HTPASSWD).unwrap();
                format!("auth:\n  htpasswd: {{realm: silica, path: {}}}\n", file.display())
            },
        )
    }

    fn address(&self) -> Address {
        format!("localhost:{}/team/silica", self.port).parse().unwrap()
    }

    fn registry(&self, credentials: Credentials) -> Registry {
        let transport = Transport {
            plain_http: true,
            ca: None,
        };
        Registry::new(self.address(), &transport, credentials).unwrap()
    }

    /// What the registry serves under a path, by a client that is not ours.
    fn get(&self, path: &str) -> Vec<u8> {
        let accept =
            "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
        let url = format!("http://localhost:{}/v2/team/silica/{path}", self.port);
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--location",
                "--header",
                accept,
                &url,
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }
}

fn image(architecture: &str, content: &str) -> Image {
    let entries = vec![Entry::file("/program", 0o755, content.as_bytes())];
    Image {
        reference: "silica.invalid/program:1".into(),
        layers: vec![Layer::from_entries(entries, Compression::Gzip).unwrap()],
        config: ImageConfig {
            entrypoint: vec!["/program".into()],
            architecture: architecture.into(),
            ..ImageConfig::default()
        },
    }
}

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
    let config = server.folder.path().join("config.json");
    // "jane:hush"
    let text = format!(
        r#"{{"auths": {{"localhost:{}": {{"auth": "amFuZTpodXNo"}}}}}}"#,
        server.port
    );
    fs::write(&config, text).unwrap();
    let found = credentials::read(&server.address(), Some(&config)).await.unwrap();
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
    let now = OffsetDateTime::now_utc();
    let request = AuthorityRequest::new(vec!["localhost".into()], Vec::new());
    let authority = Authority::create(&request, now).unwrap();
    let leaf = authority
        .issue(&LeafRequest::new(vec!["localhost".into()]), now)
        .unwrap();
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
