//! What several views show together, against real servers: two name servers of a
//! zone, resolvers in front of them, and a validating resolver.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    self, NO_NAME, NO_WILDCARD, RIGHT, Server, WORLD, addresses, free_port, ids, request, run, verdicts, zone,
};
use silica_dns::{Request, Verdict, ViewKind, ViewReport};

pub(crate) const BOTH: [ViewKind; 2] = [ViewKind::System, ViewKind::Authoritative];

/// The world with the same zone at both name servers.
pub(crate) fn world(records: &str) -> Option<Server> {
    let zone = zone(1, records);
    Server::start(WORLD, &[("first", &zone), ("second", &zone)])
}

#[test]
fn every_name_server_of_the_zone_is_asked() {
    let Some(server) = world(RIGHT) else { return };
    let report = run(&request(server.at(1), &BOTH));
    let servers: Vec<&ViewReport> = report.of(ViewKind::Authoritative).collect();
    let named = |name: &str, last| format!("{name}.silica.test ({})", server.at(last));
    assert_eq!(
        servers.iter().map(|view| view.source.clone()).collect::<Vec<_>>(),
        [named("ns1", 2), named("ns2", 3)]
    );
    assert!(servers.iter().all(|view| view.serial == Some(1)));
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.zone.unwrap().name, "silica.test");
}

#[test]
fn records_are_named_relative_to_their_zone() {
    let Some(server) = world("") else { return };
    let report = run(&Request {
        domain: "sandbox.silica.test".into(),
        ..request(server.at(1), &BOTH)
    });
    let hosts: Vec<_> = report
        .records
        .iter()
        .map(|record| record.host.as_deref())
        .collect();
    assert_eq!(hosts, [Some("sandbox"), Some("*.sandbox")]);
    assert_eq!(
        verdicts(&report, ViewKind::Authoritative),
        [NO_NAME, NO_WILDCARD, NO_WILDCARD, NO_WILDCARD]
    );
}

#[test]
fn name_servers_that_disagree_are_told_with_their_serials() {
    let old = zone(1, "@ IN A 198.51.100.7\n* IN A 198.51.100.7\n");
    let Some(server) = Server::start(WORLD, &[("first", &zone(2, RIGHT)), ("second", &old)]) else {
        return;
    };
    let report = run(&request(server.at(1), &BOTH));
    assert_eq!(ids(&report), ["name-servers-disagree"]);
    let detail = &report.findings[0].detail;
    assert!(
        detail.contains("serial 2") && detail.contains("serial 1"),
        "{detail}"
    );
    assert!(!report.ok);
}

#[test]
fn a_silent_name_server_is_a_warning() {
    let zone = zone(1, RIGHT);
    let half = WORLD.replace("127.0.0.3", "127.0.0.4");
    let Some(server) = Server::start(&half, &[("first", &zone), ("second", &zone)]) else {
        return;
    };
    let started = Instant::now();
    let report = run(&Request {
        timeout: Duration::from_millis(600),
        ..request(server.at(1), &BOTH)
    });
    assert_eq!((ids(&report), report.ok), (vec!["name-server-silent"], true));
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn an_alias_out_of_the_zone_is_followed_by_a_resolver() {
    let corefile = format!(
        "{WORLD}cloud.example:PORT {{\n  bind 127.0.0.1\n  template IN A {{\n    answer \"{{{{ .Name }}}} 60 IN A 192.0.2.1\"\n  }}\n}}\n"
    );
    let zone = zone(1, "@ IN A 192.0.2.1\n* IN CNAME lb.cloud.example.\n");
    let Some(server) = Server::start(&corefile, &[("first", &zone), ("second", &zone)]) else {
        return;
    };
    let report = run(&request(server.at(1), &[ViewKind::Authoritative]));
    assert_eq!(
        verdicts(&report, ViewKind::Authoritative),
        vec![Verdict::Matches; 4],
        "{report:#?}"
    );
}

#[test]
fn a_resolver_with_another_zone_is_a_split_horizon() {
    let inside = "silica.test:PORT {\n  bind 127.0.0.5\n  template IN A {\n    answer \"{{ .Name }} 60 IN A 10.0.0.9\"\n  }\n  template ANY ANY {\n    rcode NOERROR\n  }\n}\n";
    let zone = zone(1, RIGHT);
    let corefile = format!("{WORLD}{inside}");
    let Some(server) = Server::start(&corefile, &[("first", &zone), ("second", &zone)]) else {
        return;
    };
    let report = run(&Request {
        resolvers: vec![server.at(5)],
        ..request(
            server.at(1),
            &[ViewKind::System, ViewKind::Authoritative, ViewKind::Resolver],
        )
    });
    assert_eq!(ids(&report), ["split-horizon"]);
    let detail = &report.findings[0].detail;
    assert!(
        detail.contains("10.0.0.9") && detail.contains("192.0.2.1") && detail.contains("127.0.0.5"),
        "{detail}"
    );
    assert_eq!(verdicts(&report, ViewKind::System), vec![Verdict::Matches; 4]);
}

#[test]
fn a_resolver_that_remembers_is_stale_not_wrong() {
    let cached = WORLD.replace("  forward", "  cache 30\n  forward");
    let old = zone(1, "@ IN A 198.51.100.7\n* IN A 198.51.100.7\n");
    let Some(server) = Server::start(&cached, &[("first", &old), ("second", &old)]) else {
        return;
    };
    // Now the resolver knows the old address of the apex, and of `api.`.
    run(&request(server.at(1), &[ViewKind::System]));
    for file in ["first", "second"] {
        server.write(file, &zone(2, RIGHT));
    }
    let until = Instant::now() + Duration::from_secs(5);
    let report = loop {
        let report = run(&request(server.at(1), &BOTH));
        let served = report
            .of(ViewKind::Authoritative)
            .all(|view| view.serial == Some(2));
        if served {
            break report;
        }
        assert!(Instant::now() < until, "{report:#?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let seen = verdicts(&report, ViewKind::System);
    assert!(
        matches!(&seen[0], Verdict::Stale { found, seconds: Some(1..=30) } if *found == addresses(&["198.51.100.7"])),
        "{seen:#?}"
    );
    assert_eq!(seen[2], Verdict::Matches);
    assert!(report.records.is_empty(), "nothing is left to create");
    assert!(!report.ok);
}

#[test]
fn a_zone_name_that_was_appended_twice_is_found() {
    let Some(server) = world("sandbox IN A 192.0.2.1\n*.sandbox.silica.test IN A 192.0.2.1\n") else {
        return;
    };
    let report = run(&Request {
        domain: "sandbox.silica.test".into(),
        ..request(server.at(1), &BOTH)
    });
    assert_eq!(
        verdicts(&report, ViewKind::System)[2],
        Verdict::MisplacedWildcard {
            at: "*.sandbox.silica.test.silica.test".into()
        }
    );
}

#[test]
fn a_wildcard_one_label_too_deep_is_found() {
    let Some(server) = world("@ IN A 192.0.2.1\napi IN A 192.0.2.1\n*.api IN A 192.0.2.1\n") else {
        return;
    };
    let report = run(&request(server.at(1), &BOTH));
    assert_eq!(
        verdicts(&report, ViewKind::System)[2],
        Verdict::MisplacedWildcard {
            at: "*.api.silica.test".into()
        }
    );
}

#[test]
fn a_large_answer_comes_over_tcp() {
    let Some(server) = world(&(many("@") + &many("*"))) else {
        return;
    };
    let expected = (1..=120)
        .map(|last| support::ip(&format!("192.0.2.{last}")))
        .collect();
    let report = run(&Request {
        expected,
        resolvers: vec![server.at(1)],
        ..request(server.at(1), &[ViewKind::Authoritative, ViewKind::Resolver])
    });
    assert_eq!(
        verdicts(&report, ViewKind::Authoritative),
        vec![Verdict::Matches; 4]
    );
    assert_eq!(verdicts(&report, ViewKind::Resolver), vec![Verdict::Matches; 4]);
}

#[test]
fn a_large_answer_without_tcp_is_truncated() {
    let Some(server) = world(&many("@")) else { return };
    let front = udp_only(server.at(2));
    let report = run(&Request {
        resolvers: vec![front],
        timeout: Duration::from_millis(600),
        ..request(server.at(1), &[ViewKind::Resolver])
    });
    assert_eq!(verdicts(&report, ViewKind::Resolver)[0], Verdict::Truncated);
}

/// More records than fit into a datagram.
fn many(owner: &str) -> String {
    let lines: Vec<String> = (1..=120)
        .map(|last| format!("{owner} IN A 192.0.2.{last}\n"))
        .collect();
    lines.concat()
}

/// A way to a server that lets only UDP through, as firewalls do.
fn udp_only(server: SocketAddr) -> SocketAddr {
    let front = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let socket = Arc::new(UdpSocket::bind(front).unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let question = buffer[..length].to_vec();
            let socket = socket.clone();
            std::thread::spawn(move || {
                let back = UdpSocket::bind("127.0.0.1:0").unwrap();
                back.send_to(&question, server).unwrap();
                let mut answer = [0; 4096];
                let length = back.recv(&mut answer).unwrap();
                socket.send_to(&answer[..length], client).unwrap();
            });
        }
    });
    front
}

#[test]
fn a_zone_without_its_signatures_is_bogus_not_broken() {
    let Some(server) = world(RIGHT) else { return };
    // The resolver expects signatures, and there are none.
    let config = format!(
        "server:\n  interface: 127.0.0.1@PORT\n  port: PORT\n  do-daemonize: no\n  use-syslog: no\n  username: \"\"\n  chroot: \"\"\n  \
         directory: DIR\n  local-zone: \"test.\" nodefault\n  pidfile: \"\"\n  do-not-query-localhost: no\n  module-config: \"validator iterator\"\n  ede: yes\n  \
         trust-anchor: \"silica.test. DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118\"\n\
         remote-control:\n  control-enable: no\n\
         stub-zone:\n  name: silica.test\n  stub-addr: 127.0.0.2@{}\n",
        server.port
    );
    let Some(unbound) = Server::start_unbound(&config) else {
        return;
    };
    let report = run(&Request {
        resolvers: vec![unbound.at(1)],
        ..request(unbound.at(1), &[ViewKind::System, ViewKind::Resolver])
    });
    for kind in [ViewKind::System, ViewKind::Resolver] {
        for verdict in verdicts(&report, kind) {
            assert!(
                matches!(verdict, Verdict::DnssecBogus { .. }),
                "{kind:?}: {verdict:?}"
            );
        }
    }
    assert!(report.records.is_empty());
}

#[test]
fn caa_records_are_found_above_the_domain() {
    let records = "sandbox IN A 192.0.2.1\n*.sandbox IN A 192.0.2.1\n@ IN CAA 0 issue \"ca.example\"\n@ IN CAA 0 issuewild \";\"\n";
    let Some(server) = world(records) else { return };
    let ask = |issuer: Option<&str>| {
        run(&Request {
            domain: "sandbox.silica.test".into(),
            issuer: issuer.map(str::to_owned),
            ..request(server.at(1), &[ViewKind::System])
        })
    };
    let report = ask(None);
    assert_eq!((ids(&report), report.ok), (vec!["caa-forbids"], true));
    assert_eq!(report.caa.as_ref().unwrap().name, "silica.test");
    assert!(!ask(Some("ca.example")).ok);
}

#[test]
fn dead_resolvers_cost_one_time_limit_together() {
    let Some(server) = world(RIGHT) else { return };
    let dead: Vec<SocketAddr> = (0..4)
        .map(|_| SocketAddr::from(([127, 0, 0, 1], free_port())))
        .collect();
    let _silent: Vec<_> = dead
        .iter()
        .map(|address| {
            (
                UdpSocket::bind(address).unwrap(),
                TcpListener::bind(address).unwrap(),
            )
        })
        .collect();
    let started = Instant::now();
    let report = run(&Request {
        resolvers: dead,
        timeout: Duration::from_secs(1),
        ..request(
            server.at(1),
            &[ViewKind::System, ViewKind::Authoritative, ViewKind::Resolver],
        )
    });
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_millis(1900), "{elapsed:?}");
    assert_eq!(verdicts(&report, ViewKind::Resolver), vec![Verdict::Timeout; 4]);
    assert_eq!(verdicts(&report, ViewKind::System), vec![Verdict::Matches; 4]);
}
