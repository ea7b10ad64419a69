//! The check against a real name server.
//!
//! The server is CoreDNS: `SILICA_COREDNS` names its binary. Without it the
//! tests say so and pass, except in CI (`CI=true`), where they fail.

#![expect(clippy::unwrap_used, reason = "a test may end at once")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use silica_dns::{
    Expected, Missing, RecordKind, Report, Request, ResolverChoice, Verdict, render_zone, verify,
};

const ZONE: &str = "$ORIGIN silica.test.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n";

/// A running CoreDNS that serves `silica.test` from a zone file.
struct Server {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
    // Closing the pipe would end the server at its next line.
    _output: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// `None` when there is no binary to run.
    fn start(records: &str, more: &str) -> Option<Self> {
        let Ok(binary) = std::env::var("SILICA_COREDNS") else {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "set SILICA_COREDNS to a CoreDNS binary"
            );
            eprintln!("skipped: set SILICA_COREDNS to a CoreDNS binary to run this test");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let zone = folder.path().join("zone");
        fs::write(&zone, format!("{ZONE}{records}")).unwrap();
        let address = free_address();
        let mut corefile = format!(
            "silica.test:{} {{\n  bind 127.0.0.1\n  file {}\n}}\n",
            address.port(),
            zone.display()
        );
        let _ = writeln!(corefile, "{}", more.replace("PORT", &address.port().to_string()));
        let path = folder.path().join("Corefile");
        fs::write(&path, corefile).unwrap();
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
            address,
            _folder: folder,
            _output: output,
        };
        assert!(up, "CoreDNS ended before it was up");
        Some(server)
    }
}

/// An address whose port nobody uses for UDP or TCP. It lies below the range
/// from which the system takes the ports of outgoing sockets, so that none of
/// the questions takes it meanwhile.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn ip(address: &str) -> Expected {
    Expected::Ip(address.parse().unwrap())
}

fn ask(domain: &str, address: SocketAddr, expected: &[Expected], timeout: Duration) -> Report {
    let request = Request {
        domain: domain.to_owned(),
        expected: expected.to_vec(),
        resolvers: ResolverChoice::Servers(vec![address]),
        timeout,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(verify(&request)).unwrap()
}

fn check(records: &str, expected: &[Expected]) -> Option<Report> {
    let server = Server::start(records, "")?;
    Some(ask(
        "silica.test",
        server.address,
        expected,
        Duration::from_secs(5),
    ))
}

/// Verdicts of apex, api, random and sandbox name.
fn verdicts(report: &Report) -> Vec<Verdict> {
    report.probes.iter().map(|probe| probe.verdict.clone()).collect()
}

const NXDOMAIN: Verdict = Verdict::MissingRecord {
    kind: Missing::NxDomain,
};
const NODATA: Verdict = Verdict::MissingRecord {
    kind: Missing::NoData,
};

#[test]
fn right_records_match_over_both_families() {
    let records = "@ IN A 192.0.2.1\n@ IN AAAA 2001:db8::1\n* IN A 192.0.2.1\n* IN AAAA 2001:db8::1\n";
    let Some(report) = check(records, &[ip("192.0.2.1"), ip("2001:db8::1")]) else {
        return;
    };
    assert_eq!(verdicts(&report), vec![Verdict::Matches; 4]);
    assert!(report.ok && report.records_to_create().is_empty());
    assert_eq!(report.probes[0].ttl, Some(60));
}

#[test]
fn one_of_several_addresses_is_enough() {
    let Some(report) = check(
        "@ IN A 192.0.2.1\n* IN A 192.0.2.1\n",
        &[ip("192.0.2.1"), ip("192.0.2.2")],
    ) else {
        return;
    };
    assert_eq!(verdicts(&report), vec![Verdict::Subset; 4]);
    assert!(report.ok);
}

#[test]
fn missing_wildcard_is_told_with_its_record() {
    let Some(report) = check("@ IN A 192.0.2.1\napi IN A 192.0.2.1\n", &[ip("192.0.2.1")]) else {
        return;
    };
    assert_eq!(
        verdicts(&report),
        [Verdict::Matches, Verdict::Matches, NXDOMAIN, NXDOMAIN]
    );
    assert!(!report.ok);
    assert_eq!(
        render_zone(report.records_to_create()),
        "*.silica.test. 300 IN A     192.0.2.1\n"
    );
}

#[test]
fn missing_apex_is_told_with_its_record() {
    let Some(report) = check("* IN A 192.0.2.1\n", &[ip("192.0.2.1")]) else {
        return;
    };
    assert_eq!(
        verdicts(&report),
        [NODATA, Verdict::Matches, Verdict::Matches, Verdict::Matches]
    );
    assert_eq!(
        render_zone(report.records_to_create()),
        "silica.test. 300 IN A     192.0.2.1\n"
    );
}

#[test]
fn record_of_another_type_hides_the_wildcard() {
    let Some(report) = check(
        "@ IN A 192.0.2.1\n* IN A 192.0.2.1\napi IN TXT \"here\"\n",
        &[ip("192.0.2.1")],
    ) else {
        return;
    };
    assert_eq!(
        verdicts(&report),
        [Verdict::Matches, NODATA, Verdict::Matches, Verdict::Matches]
    );
}

#[test]
fn wrong_address_is_shown() {
    let Some(report) = check("@ IN A 192.0.2.1\n* IN A 198.51.100.7\n", &[ip("192.0.2.1")]) else {
        return;
    };
    let wrong = Verdict::WrongAddress {
        found: vec!["198.51.100.7".parse::<IpAddr>().unwrap()],
    };
    assert_eq!(
        verdicts(&report),
        [Verdict::Matches, wrong.clone(), wrong.clone(), wrong]
    );
}

#[test]
fn alias_to_the_load_balancer_is_right() {
    // The name behind the alias lives in a zone that this server does not have.
    let records = "@ IN A 192.0.2.1\n* IN CNAME lb.cloud.example.\n";
    let expected = [Expected::Hostname("lb.cloud.example".into())];
    let Some(report) = check(records, &expected) else {
        return;
    };
    let alias = Verdict::CnameToExpected {
        target: "lb.cloud.example".into(),
    };
    assert_eq!(verdicts(&report)[1..], [alias.clone(), alias.clone(), alias]);
    assert!(matches!(verdicts(&report)[0], Verdict::WrongAddress { .. }));
    assert_eq!(report.records_to_create()[0].kind, RecordKind::Alias);
    assert_eq!(report.records_to_create().len(), 1);
}

#[test]
fn flattened_alias_at_the_apex_matches_the_addresses_of_the_hostname() {
    let records = "lb IN A 192.0.2.1\n@ IN A 192.0.2.1\n* IN CNAME edge\nedge IN CNAME lb\n";
    let expected = [Expected::Hostname("lb.silica.test".into())];
    let Some(report) = check(records, &expected) else {
        return;
    };
    assert_eq!(report.probes[0].verdict, Verdict::Matches);
    assert_eq!(report.probes[2].chain, ["edge.silica.test", "lb.silica.test"]);
    assert!(report.ok, "{report:#?}");
}

#[test]
fn alias_to_nowhere_is_told_with_its_target() {
    let Some(report) = check(
        "@ IN A 192.0.2.1\n* IN CNAME gone\ngone IN TXT \"-\"\n",
        &[ip("192.0.2.1")],
    ) else {
        return;
    };
    assert_eq!(
        report.probes[2].verdict,
        Verdict::CnameElsewhere {
            target: "gone.silica.test".into()
        }
    );
}

#[test]
fn circle_of_aliases_is_recognised() {
    let Some(report) = check(
        "@ IN A 192.0.2.1\n* IN CNAME a\na IN CNAME b\nb IN CNAME a\n",
        &[ip("192.0.2.1")],
    ) else {
        return;
    };
    assert_eq!(report.probes[2].verdict, Verdict::CnameLoop);
}

#[test]
fn domain_that_does_not_exist_is_nxdomain_everywhere() {
    let Some(server) = Server::start("", "") else {
        return;
    };
    let report = ask(
        "other.silica.test",
        server.address,
        &[ip("192.0.2.1")],
        Duration::from_secs(5),
    );
    assert_eq!(verdicts(&report), vec![NXDOMAIN; 4]);
    assert_eq!(report.records_to_create().len(), 2);
}

#[test]
fn failing_and_refusing_servers_are_told_apart() {
    let broken = "broken.test:PORT {\n  bind 127.0.0.1\n  template ANY ANY {\n    rcode SERVFAIL\n  }\n}\n";
    let Some(server) = Server::start("", broken) else {
        return;
    };
    let timeout = Duration::from_secs(5);
    let failing = ask("broken.test", server.address, &[ip("192.0.2.1")], timeout);
    assert_eq!(verdicts(&failing), vec![Verdict::ServerFailure; 4]);
    assert!(
        failing.records_to_create().is_empty(),
        "no record repairs a name server"
    );
    let refusing = ask("foreign.test", server.address, &[ip("192.0.2.1")], timeout);
    assert_eq!(verdicts(&refusing), vec![Verdict::Refused; 4]);
}

#[test]
fn silent_server_is_a_timeout() {
    // Both sockets are open and nobody answers.
    let address = free_address();
    let _udp = UdpSocket::bind(address).unwrap();
    let _tcp = TcpListener::bind(address).unwrap();
    let started = Instant::now();
    let report = ask(
        "silica.test",
        address,
        &[ip("192.0.2.1")],
        Duration::from_millis(900),
    );
    assert_eq!(verdicts(&report), vec![Verdict::Timeout; 4]);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn absent_server_is_not_taken_for_a_missing_record() {
    let report = ask(
        "silica.test",
        free_address(),
        &[ip("192.0.2.1")],
        Duration::from_millis(900),
    );
    for verdict in verdicts(&report) {
        assert!(
            matches!(verdict, Verdict::Timeout | Verdict::Unreachable { .. }),
            "{verdict:?}"
        );
    }
    assert!(report.records_to_create().is_empty());
}

#[test]
fn localhost_needs_no_server() {
    let report = ask(
        "silica.localhost",
        free_address(),
        &[ip("127.0.0.1")],
        Duration::from_millis(900),
    );
    assert_eq!(verdicts(&report), vec![Verdict::LocalhostName; 4]);
    assert!(report.ok);
}

#[test]
fn report_is_stable_json() {
    let report = ask(
        "silica.localhost",
        free_address(),
        &[ip("127.0.0.1")],
        Duration::from_millis(900),
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["probes"][0]["verdict"], "localhost-name");
    assert_eq!(json["probes"][0]["purpose"], "apex");
    assert_eq!(
        json["expected"][0],
        serde_json::json!({"kind": "ip", "value": "127.0.0.1"})
    );
}
