//! Pebble on loopback, with ports of its own.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use silica_acme::Directory;
use silica_certs::{
    authority::{Authority, AuthorityRequest},
    leaf::LeafRequest,
};
use silica_free_ports::free_address;

use crate::process::{Running, given, wait_until};

/// Domain that the CA does not sign for.
pub const BLOCKED: &str = "blocked.test";

/// Pebble, with a TLS certificate of a CA of its own.
pub struct Pebble {
    /// Its directory.
    pub directory: Directory,
    /// CA of its TLS certificate, in PEM.
    pub roots: String,
    /// The same as a file.
    pub roots_file: PathBuf,
    _folder: tempfile::TempDir,
    _process: Running,
}

impl Pebble {
    /// Starts it. It looks for records at `dns`, and refuses `nonces` percent
    /// of all nonces as well as [`BLOCKED`].
    pub fn start(dns: SocketAddr, nonces: u8) -> Option<Self> {
        let program = given("SILICA_PEBBLE")?;
        let folder = tempfile::tempdir().unwrap();
        let now = time::OffsetDateTime::now_utc();
        let authority =
            Authority::create(&AuthorityRequest::new(vec!["localhost".into()], Vec::new()), now).unwrap();
        let leaf = authority
            .issue(&LeafRequest::new(vec!["localhost".into()]), now)
            .unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let certificate = file("tls.crt", leaf.chain_pem());
        let key = file("tls.key", leaf.key_pem().expose());
        let roots_file = file("ca.crt", authority.certificate_pem());
        let (listen, management) = (free_address(), free_address());
        let configuration = serde_json::json!({"pebble": {
            "listenAddress": listen.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": certificate,
            "privateKey": key,
            "httpPort": 5002,
            "tlsPort": 5001,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            // No more labels than the shortest domain asked for: Pebble counts on it.
            "domainBlocklist": [BLOCKED],
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
        }});
        let path = file("pebble.json", &configuration.to_string());
        let process = Command::new(program)
            .arg("-config")
            .arg(&path)
            .arg("-dnsserver")
            .arg(dns.to_string())
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", nonces.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Running(process);
        wait_until("Pebble listens", || std::net::TcpStream::connect(listen).is_ok());
        Some(Self {
            directory: format!("https://localhost:{}/dir", listen.port())
                .parse()
                .unwrap(),
            roots: authority.certificate_pem().to_owned(),
            roots_file,
            _folder: folder,
            _process: process,
        })
    }
}
