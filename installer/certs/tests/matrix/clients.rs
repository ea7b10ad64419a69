//! The clients, each asked for its verdict on every server.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Where the clients' sources are.
pub(crate) const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix");

/// A server and what the client knows of it.
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) host: String,
    pub(crate) roots: PathBuf,
    pub(crate) chain: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Client {
    /// rustls with ring and a fixed list of CAs.
    Rustls,
    /// The newest E2B SDK for Python: pyqwest, which is rustls with aws-lc and the
    /// verifier of the platform.
    Sdk,
    /// The E2B SDK for Python of before: httpx, which is OpenSSL by CPython's rules.
    PinnedSdk,
    /// `openssl verify -x509_strict`.
    OpenSsl,
    /// curl, which connects as the Python ones do.
    Curl,
    /// CPython with the defaults until 3.12.
    Python,
    /// CPython with the defaults from 3.13 on, set by hand.
    PythonStrict,
    /// CPython 3.13 or newer, as it is.
    Python313,
    Go,
    Node,
}

impl Client {
    pub(crate) const ALL: [Self; 10] = [
        Self::Rustls,
        Self::Sdk,
        Self::PinnedSdk,
        Self::OpenSsl,
        Self::Curl,
        Self::Python,
        Self::PythonStrict,
        Self::Python313,
        Self::Go,
        Self::Node,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Rustls => "rustls",
            Self::Sdk => "e2b newest",
            Self::PinnedSdk => "e2b 2.28",
            Self::OpenSsl => "openssl",
            Self::Curl => "curl",
            Self::Python => "python",
            Self::PythonStrict => "python strict",
            Self::Python313 => "python 3.13",
            Self::Go => "go",
            Self::Node => "node",
        }
    }

    /// One verdict a target; `None` when the client is not installed.
    pub(crate) fn judge_all(self, targets: &[Target]) -> Option<Vec<Result<(), String>>> {
        let python = |program: &Path, mode: Option<&str>| {
            let mut command = Command::new(program);
            command.arg(format!("{SOURCES}/client.py")).args(mode);
            converse(command, targets)
        };
        match self {
            Self::Rustls => Some(targets.iter().map(rustls).collect()),
            Self::Sdk => Some(converse(self.sdk("SILICA_PYTHON_CURRENT")?, targets)),
            Self::PinnedSdk => Some(converse(self.sdk("SILICA_PYTHON_PINNED")?, targets)),
            Self::OpenSsl => {
                self.need("openssl", &["version"])?;
                Some(targets.iter().map(openssl).collect())
            }
            Self::Curl => {
                self.need("curl", &["--version"])?;
                Some(targets.iter().map(curl).collect())
            }
            Self::Python => {
                self.need("python3", &["--version"])?;
                Some(python(Path::new("python3"), Some("lenient")))
            }
            Self::PythonStrict => {
                self.need("python3", &["--version"])?;
                Some(python(Path::new("python3"), Some("strict")))
            }
            Self::Python313 => Some(python(&python_3_13()?, None)),
            Self::Go => {
                self.need("go", &["version"])?;
                Some(converse(Command::new(build_go()), targets))
            }
            Self::Node => {
                self.need("node", &["--version"])?;
                let mut command = Command::new("node");
                command.arg(format!("{SOURCES}/client.mjs"));
                Some(converse(command, targets))
            }
        }
    }

    /// The SDK of the Python that the variable names; `cargo xtask test` sets it.
    fn sdk(self, variable: &str) -> Option<Command> {
        let Some(python) = std::env::var_os(variable) else {
            assert!(std::env::var_os("CI").is_none(), "{variable} is not set");
            println!("left out: {} ({variable} is not set)", self.title());
            return None;
        };
        let mut command = Command::new(python);
        command.arg(format!("{SOURCES}/sdk.py"));
        Some(command)
    }

    /// Says that a client is missing; on CI that is a failure.
    fn need(self, program: &str, arguments: &[&str]) -> Option<()> {
        if runs(program.as_ref(), arguments) {
            return Some(());
        }
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
        println!("left out: {} ({program} is not installed)", self.title());
        None
    }
}

fn runs(program: &Path, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Newer than what most systems have: no failure when there is none, since the
/// strict column makes the same checks.
fn python_3_13() -> Option<PathBuf> {
    let mut candidates = vec![PathBuf::from("python3"), PathBuf::from("python3.13")];
    let versions = std::env::home_dir().unwrap_or_default().join(".pyenv/versions");
    let installed = std::fs::read_dir(versions).into_iter().flatten().flatten();
    candidates.extend(installed.map(|version| version.path().join("bin/python3")));
    let check = ["-c", "import sys; sys.exit(sys.version_info < (3, 13))"];
    let found = candidates.into_iter().find(|program| runs(program, &check));
    if found.is_none() {
        println!("left out: python 3.13 (not installed)");
    }
    found
}

fn build_go() -> PathBuf {
    let executable = Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix-client-go");
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&executable)
        .arg(".")
        .current_dir(Path::new(SOURCES).join("go"))
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .status()
        .unwrap();
    assert!(status.success(), "go build: {status}");
    executable
}

/// Gives all targets to one process and reads its verdicts.
fn converse(mut command: Command, targets: &[Target]) -> Vec<Result<(), String>> {
    let questions: Vec<String> = targets
        .iter()
        .enumerate()
        .map(|(index, target)| {
            format!(
                "{index}\t{}\t{}\t{}\n",
                target.port,
                target.host,
                target.roots.display()
            )
        })
        .collect();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(questions.concat().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<_> = text
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let (name, verdict) = line.split_once('\t').unwrap();
            assert_eq!(name, index.to_string(), "{command:?}");
            if verdict == "ok" {
                Ok(())
            } else {
                Err(verdict.to_owned())
            }
        })
        .collect();
    assert_eq!(verdicts.len(), targets.len(), "{command:?}");
    verdicts
}

fn rustls(target: &Target) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(&target.roots).unwrap() {
        roots.add(root.unwrap()).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(target.host.clone()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", target.port)).unwrap();
    while connection.is_handshaking() {
        connection
            .complete_io(&mut stream)
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The servers end the connection after the handshake, which is no verdict on certificates.
fn curl(target: &Target) -> Result<(), String> {
    const CERTIFICATE_REFUSED: [i32; 3] = [35, 51, 60];
    let Target { port, host, .. } = target;
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "10"])
        .args([
            "--capath",
            "/dev/null",
            "--resolve",
            &format!("{host}:{port}:127.0.0.1"),
        ])
        .arg("--cacert")
        .arg(&target.roots)
        .arg(format!("https://{host}:{port}/"))
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
    if CERTIFICATE_REFUSED.contains(&code) {
        return Err(said);
    }
    // No HTTP is spoken there.
    assert!([0, 1, 8, 52, 56].contains(&code), "curl {host}: {code} {said}");
    Ok(())
}

fn openssl(target: &Target) -> Result<(), String> {
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver"])
        .args(["-no-CApath", "-no-CAstore", "-verify_hostname", &target.host])
        .arg("-CAfile")
        .arg(&target.roots)
        .arg("-untrusted")
        .arg(&target.chain)
        .arg(&target.chain)
        .output()
        .unwrap();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).replace('\n', " "))
    }
}
