//! Verdicts of one view against a real name server: that of this machine's
//! resolver.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::{self, NO_NAME, NO_WILDCARD, Server, ZONE, addresses, free_port, ids, ip};
use silica_dns::{Expected, Missing, RecordKind, Report, Request, Verdict, ViewKind, render_zone};

const ONE: &str = "silica.test:PORT {\n  bind 127.0.0.1\n  file DIR/zone\n}\n";

fn check(records: &str, expected: &[Expected]) -> Option<Report> {
    let server = Server::start(ONE, &[("zone", &format!("{ZONE}{records}"))])?;
    Some(ask(server.at(1), "silica.test", expected))
}

fn ask(server: SocketAddr, domain: &str, expected: &[Expected]) -> Report {
    support::run(&Request {
        domain: domain.into(),
        expected: expected.to_vec(),
        ..support::request(server, &[ViewKind::System])
    })
}

fn ask_fast(server: SocketAddr) -> Report {
    support::run(&Request {
        timeout: Duration::from_millis(900),
        ..support::request(server, &[ViewKind::System])
    })
}

fn verdicts(report: &Report) -> Vec<Verdict> {
    support::verdicts(report, ViewKind::System)
}

#[test]
fn right_records_match_over_both_families() {
    let records = "@ IN A 192.0.2.1\n@ IN AAAA 2001:db8::1\n* IN A 192.0.2.1\n* IN AAAA 2001:db8::1\n";
    let Some(report) = check(records, &[ip("192.0.2.1"), ip("2001:db8::1")]) else {
        return;
    };
    assert_eq!(verdicts(&report), vec![Verdict::Matches; 4]);
    assert!(report.ok && report.records_to_create().is_empty());
    assert_eq!(report.views[0].names[0].ttl, Some(60));
}

#[test]
fn one_of_several_addresses_is_enough() {
    let Some(report) = check(support::RIGHT, &[ip("192.0.2.1"), ip("192.0.2.2")]) else {
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
        [Verdict::Matches, Verdict::Matches, NO_WILDCARD, NO_WILDCARD]
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
    let nodata = Verdict::MissingRecord {
        kind: Missing::NoData,
    };
    assert_eq!(
        verdicts(&report),
        [nodata, Verdict::Matches, Verdict::Matches, Verdict::Matches]
    );
    assert_eq!(
        render_zone(report.records_to_create()),
        "silica.test. 300 IN A     192.0.2.1\n"
    );
}

#[test]
fn record_of_another_type_hides_the_wildcard() {
    let records = "@ IN A 192.0.2.1\n* IN A 192.0.2.1\napi IN TXT \"here\"\n";
    let Some(report) = check(records, &[ip("192.0.2.1")]) else {
        return;
    };
    assert_eq!(
        verdicts(&report),
        [
            Verdict::Matches,
            Verdict::HiddenWildcard,
            Verdict::Matches,
            Verdict::Matches
        ]
    );
}

#[test]
fn wrong_address_is_shown_with_its_life() {
    let Some(report) = check("@ IN A 192.0.2.1\n* IN A 198.51.100.7\n", &[ip("192.0.2.1")]) else {
        return;
    };
    let wrong = Verdict::WrongAddress {
        found: addresses(&["198.51.100.7"]),
    };
    assert_eq!(
        verdicts(&report),
        [Verdict::Matches, wrong.clone(), wrong.clone(), wrong]
    );
    let shown = report.views[0].names[2].to_string();
    assert!(
        shown.contains("198.51.100.7") && shown.contains("TTL 60 s"),
        "{shown}"
    );
}

#[test]
fn alias_to_the_load_balancer_is_right() {
    // The name behind the alias lives in a zone that this server does not have.
    let records = "@ IN A 192.0.2.1\n* IN CNAME lb.cloud.example.\n";
    let Some(report) = check(records, &[Expected::Hostname("lb.cloud.example".into())]) else {
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
    let Some(report) = check(records, &[Expected::Hostname("lb.silica.test".into())]) else {
        return;
    };
    assert_eq!(verdicts(&report)[0], Verdict::Matches);
    assert_eq!(
        report.views[0].names[2].chain,
        ["edge.silica.test", "lb.silica.test"]
    );
    assert!(report.ok, "{report:#?}");
}

#[test]
fn alias_to_nowhere_is_told_with_its_target() {
    let records = "@ IN A 192.0.2.1\n* IN CNAME gone\ngone IN TXT \"-\"\n";
    let Some(report) = check(records, &[ip("192.0.2.1")]) else {
        return;
    };
    assert_eq!(
        verdicts(&report)[2],
        Verdict::CnameElsewhere {
            target: "gone.silica.test".into()
        }
    );
}

#[test]
fn circle_of_aliases_is_recognised() {
    let records = "@ IN A 192.0.2.1\n* IN CNAME a\na IN CNAME b\nb IN CNAME a\n";
    let Some(report) = check(records, &[ip("192.0.2.1")]) else {
        return;
    };
    assert_eq!(verdicts(&report)[2], Verdict::CnameLoop);
}

#[test]
fn domain_that_does_not_exist_is_nxdomain_everywhere() {
    let Some(server) = Server::start(ONE, &[("zone", ZONE)]) else {
        return;
    };
    let report = ask(server.at(1), "other.silica.test", &[ip("192.0.2.1")]);
    assert_eq!(
        verdicts(&report),
        [NO_NAME, NO_WILDCARD, NO_WILDCARD, NO_WILDCARD]
    );
    assert_eq!(report.records_to_create().len(), 2);
}

#[test]
fn failing_and_refusing_servers_are_told_apart() {
    let broken = "broken.test:PORT {\n  bind 127.0.0.1\n  template ANY ANY {\n    rcode SERVFAIL\n  }\n}\n";
    let Some(server) = Server::start(broken, &[]) else {
        return;
    };
    let failing = ask(server.at(1), "broken.test", &[ip("192.0.2.1")]);
    assert_eq!(
        verdicts(&failing),
        vec![Verdict::ServerFailure { reason: None }; 4]
    );
    assert!(
        failing.records_to_create().is_empty(),
        "no record repairs a name server"
    );
    let refusing = ask(server.at(1), "foreign.test", &[ip("192.0.2.1")]);
    assert_eq!(verdicts(&refusing), vec![Verdict::Refused; 4]);
}

#[test]
fn silent_server_is_a_timeout() {
    // Both sockets are open and nobody answers.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let _udp = UdpSocket::bind(address).unwrap();
    let _tcp = TcpListener::bind(address).unwrap();
    let started = Instant::now();
    let report = ask_fast(address);
    assert_eq!(verdicts(&report), vec![Verdict::Timeout; 4]);
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
}

#[test]
fn absent_server_is_not_taken_for_a_missing_record() {
    let report = ask_fast(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    for verdict in verdicts(&report) {
        assert!(
            matches!(verdict, Verdict::Timeout | Verdict::Unreachable { .. }),
            "{verdict:?}"
        );
    }
    assert!(!report.ok && report.records_to_create().is_empty());
}

#[test]
fn localhost_needs_no_server() {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let report = support::run(&Request {
        domain: "silica.localhost".into(),
        expected: vec![ip("127.0.0.1")],
        ..support::request(
            nobody,
            &[ViewKind::System, ViewKind::Authoritative, ViewKind::Cluster],
        )
    });
    assert_eq!(verdicts(&report), vec![Verdict::LocalhostName; 4]);
    assert!(report.ok && report.findings.is_empty(), "{report:#?}");
}

#[test]
fn nothing_to_compare_with_is_a_finding_of_its_own() {
    let Some(report) = check(support::RIGHT, &[]) else {
        return;
    };
    assert_eq!(verdicts(&report), vec![Verdict::Unjudged; 4]);
    assert_eq!((ids(&report), report.ok), (vec!["no-address"], false));
}

#[test]
fn report_is_stable_json() {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let report = ask(nobody, "silica.localhost", &[ip("127.0.0.1")]);
    let json = serde_json::to_value(&report).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "caa", "domain", "expected", "findings", "ok", "records", "schema", "views", "zone"
        ]
    );
    assert_eq!((&json["schema"], &json["ok"]), (&1.into(), &true.into()));
    let view = &json["views"][0];
    assert_eq!((&view["view"], &view["ok"]), (&"system".into(), &true.into()));
    let name = &view["names"][0];
    assert_eq!(
        (&name["verdict"], &name["purpose"]),
        (&"localhost-name".into(), &"apex".into())
    );
    assert_eq!(
        json["expected"][0],
        serde_json::json!({"kind": "ip", "value": "127.0.0.1"})
    );
}
