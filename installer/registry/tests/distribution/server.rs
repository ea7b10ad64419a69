//! The registry as a process.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use silica_certs::{
    authority::{Authority, AuthorityRequest},
    leaf::{Leaf, LeafRequest},
};
use silica_oci::{Compression, Entry, Image, ImageConfig, Layer};
use silica_registry::{Address, Credentials, Registry, Transport, credentials};
use time::OffsetDateTime;

/// Line of an htpasswd file: user `jane`, password `hush`, bcrypt of the lowest cost.
const HTPASSWD: &str = "jane:$2b$04$Ar6jTq7t0CGrlueNmOvEGuuA8NYnyoqh0Gj8U2Pw0qERTxJsK0.vm\n";

/// A running registry; ends with the value.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    pub(crate) folder: tempfile::TempDir,
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
    pub(crate) fn start(http: impl Fn(&Path) -> String, more: impl Fn(&Path) -> String) -> Option<Self> {
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

    pub(crate) fn plain() -> Option<Self> {
        Self::start(|_| String::new(), |_| String::new())
    }

    pub(crate) fn with_password() -> Option<Self> {
        Self::start(
            |_| String::new(),
            |path| {
                let file = path.join("htpasswd");
                fs::write(&file, HTPASSWD).unwrap();
                format!("auth:\n  htpasswd: {{realm: silica, path: {}}}\n", file.display())
            },
        )
    }

    pub(crate) fn address(&self) -> Address {
        format!("localhost:{}/team/silica", self.port).parse().unwrap()
    }

    /// The credentials of `jane` as they are read after `docker login`.
    pub(crate) async fn docker_login(&self) -> Credentials {
        let config = self.folder.path().join("config.json");
        // "jane:hush"
        let text = format!(
            r#"{{"auths": {{"localhost:{}": {{"auth": "amFuZTpodXNo"}}}}}}"#,
            self.port
        );
        fs::write(&config, text).unwrap();
        credentials::read(&self.address(), Some(&config)).await.unwrap()
    }

    pub(crate) fn registry(&self, credentials: Credentials) -> Registry {
        let transport = Transport {
            plain_http: true,
            ca: None,
        };
        Registry::new(self.address(), &transport, credentials).unwrap()
    }

    /// What the registry serves under a path, by a client that is not ours.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
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

pub(crate) fn image(architecture: &str, content: &str) -> Image {
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

/// A CA, and a certificate of it for `localhost`.
pub(crate) fn certified() -> (Authority, Leaf) {
    let now = OffsetDateTime::now_utc();
    let request = AuthorityRequest::new(vec!["localhost".into()], Vec::new());
    let authority = Authority::create(&request, now).unwrap();
    let leaf = authority
        .issue(&LeafRequest::new(vec!["localhost".into()]), now)
        .unwrap();
    (authority, leaf)
}
