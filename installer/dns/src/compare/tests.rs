//! What differing answers of several views mean.

use super::*;
use crate::probe::Purpose;
use crate::verdict::Missing;

fn name(purpose: Purpose, verdict: Verdict, addresses: &[&str]) -> ProbeReport {
    let mut report = ProbeReport {
        name: format!("{purpose:?}.x.test").to_lowercase(),
        purpose,
        chain: Vec::new(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ttl: Some(40),
        verdict: Verdict::Matches,
        ok: true,
        message: String::new(),
    };
    report.rejudge(verdict);
    report
}

fn view(kind: ViewKind, names: Vec<ProbeReport>) -> ViewReport {
    let mut view = ViewReport {
        view: kind,
        source: format!("{kind:?}"),
        decides: kind.decides(),
        ok: None,
        absent: None,
        serial: Some(1),
        names,
    };
    view.settle();
    view
}

fn right() -> Vec<ProbeReport> {
    [Purpose::Apex, Purpose::Wildcard]
        .map(|purpose| name(purpose, Verdict::Matches, &["192.0.2.1"]))
        .into()
}

fn wrong(purpose: Purpose) -> ProbeReport {
    let found = vec!["198.51.100.7".parse().unwrap()];
    name(purpose, Verdict::WrongAddress { found }, &["198.51.100.7"])
}

fn ids(views: &[ViewReport]) -> Vec<&'static str> {
    findings("x.test", views, true)
        .iter()
        .map(|finding| finding.id)
        .collect()
}

#[test]
fn a_cache_that_is_behind_is_no_second_zone() {
    let cache = vec![wrong(Purpose::Apex), right().remove(1)];
    let mut views = [
        view(ViewKind::Authoritative, right()),
        view(ViewKind::System, cache),
    ];
    settle(&mut views);
    let verdict = &views[1].names[0].verdict;
    assert!(
        matches!(verdict, Verdict::Stale { found, seconds: Some(40) } if found.len() == 1),
        "{verdict:?}"
    );
    assert_eq!(ids(&views), [""; 0]);
}

#[test]
fn a_random_name_that_leads_elsewhere_is_a_second_zone() {
    let other = vec![wrong(Purpose::Apex), wrong(Purpose::Wildcard)];
    let mut views = [
        view(ViewKind::Authoritative, right()),
        view(ViewKind::System, other),
    ];
    settle(&mut views);
    assert!(matches!(views[1].names[0].verdict, Verdict::WrongAddress { .. }));
    assert_eq!(ids(&views), ["split-horizon"]);
}

#[test]
fn name_servers_with_different_answers_are_told_by_serial() {
    let mut old = view(
        ViewKind::Authoritative,
        vec![wrong(Purpose::Apex), wrong(Purpose::Wildcard)],
    );
    old.serial = Some(2);
    let mut views = [view(ViewKind::Authoritative, right()), old];
    settle(&mut views);
    let findings = findings("x.test", &views, true);
    assert_eq!(findings[0].id, "name-servers-disagree");
    assert!(findings[0].detail.contains("serial 2"), "{findings:?}");
}

#[test]
fn a_name_beside_a_working_wildcard_is_hidden() {
    let nodata = Verdict::MissingWildcard {
        kind: Missing::NoData,
    };
    let mut views = [view(
        ViewKind::System,
        vec![name(Purpose::Api, nodata, &[]), right().remove(1)],
    )];
    settle(&mut views);
    assert_eq!(views[0].names[0].verdict, Verdict::HiddenWildcard);
}

#[test]
fn other_eyes_of_this_machine_are_a_warning() {
    let missing = Verdict::MissingRecord {
        kind: Missing::NxDomain,
    };
    let libc = vec![name(Purpose::Apex, missing, &[]), right().remove(1)];
    let views = [view(ViewKind::System, right()), view(ViewKind::Libc, libc)];
    let findings = findings("x.localhost", &views, true);
    assert_eq!(
        (findings[0].id, findings[0].severity),
        ("getaddrinfo-differs", Severity::Warn)
    );
    assert!(findings[0].hint.contains("/etc/hosts"));
}
