//! Real DNS servers on loopback for the tests.
//!
//! CoreDNS is named by `SILICA_COREDNS`, unbound is the Debian package. Without
//! them the tests say so and pass, except in CI (`CI=true`), where they fail.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use silica_dns::{ClusterDns, Expected, Missing, Report, Request, SystemChoice, Verdict, ViewKind, verify};
pub(crate) use silica_free_ports::free_port;

/// The beginning of the zone, whose name servers are 127.0.0.2 and 127.0.0.3.
pub(crate) const ZONE: &str = "$ORIGIN silica.test.\n$TTL 60\n@ IN SOA ns1 hostmaster 1 3600 600 86400 60\n\
                        @ IN NS ns1\n@ IN NS ns2\nns1 IN A 127.0.0.2\nns2 IN A 127.0.0.3\n";
/// Records that lead everything to 192.0.2.1.
pub(crate) const RIGHT: &str = "@ IN A 192.0.2.1\n* IN A 192.0.2.1\n";

/// The two name servers, each with a zone file of its own, and a resolver that
/// knows the rest of the world from them.
pub(crate) const WORLD: &str = "silica.test:PORT {\n  bind 127.0.0.2\n  file DIR/first {\n    reload 100ms\n  }\n}\n\
                         silica.test:PORT {\n  bind 127.0.0.3\n  file DIR/second {\n    reload 100ms\n  }\n}\n\
                         .:PORT {\n  bind 127.0.0.1\n  forward . 127.0.0.2:PORT\n}\n";

/// A running server. Files in its folder may be written again.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
    // Closing the pipe would end the server at its next line.
    _output: Option<BufReader<ChildStdout>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// CoreDNS with this configuration, in which `PORT` and `DIR` are replaced.
    /// `None` when there is no binary to run.
    pub(crate) fn start(corefile: &str, files: &[(&str, &str)]) -> Option<Self> {
        let binary = found(
            std::env::var("SILICA_COREDNS").ok(),
            "set SILICA_COREDNS to a CoreDNS binary",
        )?;
        let (folder, port) = prepare(files);
        let path = folder.path().join("Corefile");
        fs::write(&path, filled(corefile, port, folder.path())).unwrap();
        let mut process = Command::new(binary)
            .arg("-conf")
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It says its version once all sockets are open.
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let up = output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .any(|line| line.starts_with("CoreDNS-"));
        let server = Self {
            process,
            port,
            folder,
            _output: Some(output),
        };
        assert!(up, "CoreDNS ended before it was up");
        Some(server)
    }

    /// unbound with this configuration, in which `PORT` and `DIR` are replaced.
    pub(crate) fn start_unbound(config: &str) -> Option<Self> {
        let binary = ["/usr/sbin/unbound", "/usr/local/sbin/unbound"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let binary = found(binary, "install the package unbound")?;
        let (folder, port) = prepare(&[]);
        let path = folder.path().join("unbound.conf");
        fs::write(&path, filled(config, port, folder.path())).unwrap();
        let process = Command::new(binary)
            .args(["-d", "-c"])
            .arg(&path)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            process,
            port,
            folder,
            _output: None,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(server.at(1)).is_err() {
            assert!(Instant::now() < deadline, "unbound is not up");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    /// Its socket at 127.0.0.`last`.
    pub(crate) fn at(&self, last: u8) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), self.port))
    }

    /// Replaces a file, as an editor does.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let next = self.folder.path().join("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.folder.path().join(name)).unwrap();
    }
}

fn found<T>(value: Option<T>, otherwise: &str) -> Option<T> {
    if value.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{otherwise}");
        eprintln!("skipped: {otherwise} to run this test");
    }
    value
}

fn prepare(files: &[(&str, &str)]) -> (tempfile::TempDir, u16) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    (folder, free_port())
}

fn filled(template: &str, port: u16, folder: &Path) -> String {
    template
        .replace("PORT", &port.to_string())
        .replace("DIR", &folder.display().to_string())
}

pub(crate) fn ip(address: &str) -> Expected {
    Expected::Ip(address.parse().unwrap())
}

pub(crate) fn zone(serial: u32, records: &str) -> String {
    format!(
        "{}{records}",
        ZONE.replace("hostmaster 1 ", &format!("hostmaster {serial} "))
    )
}

/// A check of `silica.test` that should lead to 192.0.2.1, with the resolver at
/// this address for this machine's.
pub(crate) fn request(system: SocketAddr, views: &[ViewKind]) -> Request {
    Request {
        views: views.iter().copied().collect(),
        system: SystemChoice::Servers(vec![system]),
        authority_port: system.port(),
        timeout: Duration::from_secs(5),
        ..Request::new("silica.test", vec![ip("192.0.2.1")])
    }
}

pub(crate) fn run(request: &Request) -> Report {
    run_in(request, None)
}

pub(crate) fn run_in(request: &Request, cluster: Option<&dyn ClusterDns>) -> Report {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(verify(request, cluster)).unwrap()
}

/// Verdicts of apex, api, random and sandbox name in the first view of a kind.
pub(crate) fn verdicts(report: &Report, kind: ViewKind) -> Vec<Verdict> {
    let view = report.of(kind).next().unwrap();
    assert_eq!(view.absent, None, "{view:#?}");
    view.names.iter().map(|name| name.verdict.clone()).collect()
}

pub(crate) fn ids(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.id).collect()
}

pub(crate) fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(crate) const NO_NAME: Verdict = Verdict::MissingRecord {
    kind: Missing::NxDomain,
};
pub(crate) const NO_WILDCARD: Verdict = Verdict::MissingWildcard {
    kind: Missing::NxDomain,
};
