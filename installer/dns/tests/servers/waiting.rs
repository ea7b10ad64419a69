//! `--wait`: it ends with the right zone, or with its time.

use std::time::{Duration, Instant};

use silica_dns::{Request, ViewKind, probe::Purpose, wait};

use crate::{
    support::{RIGHT, Server, WORLD, request, zone},
    views::{BOTH, world},
};

#[test]
fn waiting_ends_when_the_zone_is_right_and_never_asks_caches_too_early() {
    let cached = WORLD.replace("  forward", "  cache 30\n  forward");
    let empty = zone(1, "");
    let Some(server) = Server::start(&cached, &[("first", &empty), ("second", &empty)]) else {
        return;
    };
    let request = request(server.at(1), &BOTH);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let mut told = Vec::new();
    let report = runtime.block_on(wait(&request, None, deadline, |progress| {
        if told.is_empty() {
            server.write("first", &zone(2, RIGHT));
            server.write("second", &zone(2, RIGHT));
        }
        told.push(progress.clone());
    }));
    let report = report.unwrap();
    // A resolver asked before would remember for 30 s that there is nothing.
    assert!(report.ok, "{report:#?}");
    assert!(
        !told.is_empty()
            && told
                .iter()
                .all(|one| one.wrong.iter().all(|(view, _)| view.contains("ns")))
    );
    let apex = report.views.iter().flat_map(|view| &view.names);
    assert!(
        apex.filter(|name| name.purpose == Purpose::Apex)
            .all(|name| name.ok)
    );
}

#[test]
fn waiting_ends_at_its_limit_with_a_whole_report() {
    let Some(server) = world("") else { return };
    let request = Request {
        timeout: Duration::from_millis(500),
        ..request(server.at(1), &BOTH)
    };
    let started = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    let report = runtime.block_on(wait(&request, None, deadline, |_| {})).unwrap();
    assert!(!report.ok && report.of(ViewKind::System).next().is_some());
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
}
