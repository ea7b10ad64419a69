//! What several views show together. Pure.

mod rejudge;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub(crate) use self::rejudge::settle;
use crate::caa::{Caa, Permission};
use crate::probe::is_localhost;
use crate::report::{Finding, ProbeReport, Severity, ViewReport};
use crate::verdict::Verdict;
use crate::view::ViewKind;

/// Everything to say about the views together.
pub(crate) fn findings(domain: &str, views: &[ViewReport], has_expectation: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !has_expectation {
        findings.push(Finding {
            id: "no-address",
            severity: Severity::Fail,
            detail: "nothing says where the names should lead".into(),
            hint: "name the address or host name: --expect ADDRESS".into(),
        });
    }
    let disagreement = name_servers_disagree(views);
    findings.extend(silent_name_servers(views));
    // Resolvers that follow either version show nothing new.
    if disagreement
        .as_ref()
        .is_none_or(|finding| finding.severity == Severity::Warn)
    {
        findings.extend(split_horizon(views));
    }
    findings.extend(disagreement);
    findings.extend(libc_differs(domain, views));
    findings
}

fn authoritative(views: &[ViewReport]) -> Vec<&ViewReport> {
    let of_zone = views.iter().filter(|view| view.view == ViewKind::Authoritative);
    of_zone.collect()
}

/// What a view says about a name, comparable with others.
fn outcome(name: &ProbeReport) -> (BTreeSet<IpAddr>, bool) {
    (name.addresses.iter().copied().collect(), name.ok)
}

fn name_servers_disagree(views: &[ViewReport]) -> Option<Finding> {
    let answering: Vec<_> = authoritative(views)
        .into_iter()
        .filter(|view| view.absent.is_none())
        .collect();
    let first = answering.first()?;
    let differs = |view: &&ViewReport| {
        let pairs = view.names.iter().zip(&first.names);
        pairs
            .into_iter()
            .any(|(one, other)| outcome(one) != outcome(other))
    };
    let with_serial = |view: &&ViewReport| match view.serial {
        Some(serial) => format!("{} has serial {serial}", view.source),
        None => view.source.clone(),
    };
    let listed = || answering.iter().map(with_serial).collect::<Vec<_>>().join(", ");
    if answering.iter().any(differs) {
        return Some(Finding {
            id: "name-servers-disagree",
            severity: Severity::Fail,
            detail: format!("the zone's name servers answer differently: {}", listed()),
            hint: "the secondaries have to fetch the zone; when they do not within minutes, look at NOTIFY and zone transfer, and raise the serial".into(),
        });
    }
    let serials: BTreeSet<u32> = answering.iter().filter_map(|view| view.serial).collect();
    (serials.len() > 1).then(|| Finding {
        id: "serials-differ",
        severity: Severity::Warn,
        detail: format!("the zone's name servers hold different versions: {}", listed()),
        hint: "harmless while the answers are equal".into(),
    })
}

fn silent_name_servers(views: &[ViewReport]) -> Option<Finding> {
    let servers = authoritative(views);
    let silent: Vec<&&ViewReport> = servers.iter().filter(|view| view.absent.is_some()).collect();
    let first = silent.first()?;
    let reason = first.absent.as_deref().unwrap_or_default();
    if silent.len() == servers.len() {
        return Some(Finding {
            id: "authority-not-asked",
            severity: Severity::Warn,
            detail: format!("the zone's name servers could not be asked: {reason}"),
            hint: "only caches were looked at; run it where port 53 to the internet is open".into(),
        });
    }
    let names: Vec<&str> = silent.iter().map(|view| view.source.as_str()).collect();
    Some(Finding {
        id: "name-server-silent",
        severity: Severity::Warn,
        detail: format!(
            "{} of {} name servers of the zone did not answer: {} ({reason})",
            silent.len(),
            servers.len(),
            names.join(", ")
        ),
        hint:
            "IPv6 may be missing here; else repair the server or its delegation, resolvers lose time with it"
                .into(),
    })
}

/// Views that lead the same name to different places, where no cache explains it.
fn split_horizon(views: &[ViewReport]) -> Option<Finding> {
    let answering: Vec<&ViewReport> = views
        .iter()
        .filter(|view| view.absent.is_none() && view.view != ViewKind::Libc)
        .collect();
    let is_explained = |name: &ProbeReport| matches!(name.verdict, Verdict::Stale { .. });
    for right in &answering {
        for wrong in &answering {
            let both_of_zone = right.view == ViewKind::Authoritative && wrong.view == ViewKind::Authoritative;
            if both_of_zone || right.view == wrong.view && right.source == wrong.source {
                continue;
            }
            let pair = right.names.iter().zip(&wrong.names).find(|(right, wrong)| {
                right.ok
                    && (wrong.verdict.is_missing() || matches!(wrong.verdict, Verdict::WrongAddress { .. }))
                    && !is_explained(wrong)
            });
            if let Some((one, other)) = pair {
                let severity = if wrong.decides {
                    Severity::Fail
                } else {
                    Severity::Warn
                };
                return Some(Finding {
                    id: "split-horizon",
                    severity,
                    detail: format!(
                        "{} is seen differently: {} answers {}, {} answers {}",
                        one.name,
                        right.title(),
                        shown(one),
                        wrong.title(),
                        shown(other)
                    ),
                    hint: "there are two versions of the zone, as with private zones; the records are needed in both".into(),
                });
            }
        }
    }
    None
}

fn shown(name: &ProbeReport) -> String {
    if name.addresses.is_empty() {
        return "nothing".into();
    }
    let addresses: Vec<_> = name.addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

/// Programs that ask getaddrinfo do not see what the SDK sees.
fn libc_differs(domain: &str, views: &[ViewReport]) -> Option<Finding> {
    let system = views.iter().find(|view| view.view == ViewKind::System)?;
    let libc = views.iter().find(|view| view.view == ViewKind::Libc)?;
    if system.ok != Some(true) || libc.ok != Some(false) {
        return None;
    }
    let hint = if is_localhost(domain) {
        format!(
            "for curl and Node add to /etc/hosts: 127.0.0.1 {domain} api.{domain}; sandboxes have names of their own, for which a hosts file has no wildcard"
        )
    } else {
        "look at the line hosts: of /etc/nsswitch.conf, at /etc/hosts and at nscd".into()
    };
    Some(Finding {
        id: "getaddrinfo-differs",
        severity: Severity::Warn,
        detail: "the E2B Python SDK resolves the names, programs that ask getaddrinfo (curl, Node) do not"
            .into(),
        hint,
    })
}

/// Whether an official certificate can be had.
pub(crate) fn caa_finding(caa: &Caa, issuer: Option<&str>) -> Option<Finding> {
    let wanted = issuer.is_some_and(|issuer| !caa.permits(issuer));
    if !wanted && (issuer.is_some() || caa.permission != Permission::Nobody) {
        return None;
    }
    let who = issuer.unwrap_or("any public CA");
    let rules: Vec<String> = caa
        .records
        .iter()
        .map(|record| format!("{} {:?}", record.tag, record.value))
        .collect();
    Some(Finding {
        id: "caa-forbids",
        // With a CA of one's own nothing is lost.
        severity: if wanted { Severity::Fail } else { Severity::Warn },
        detail: format!(
            "the CAA records of {} forbid {who} to issue for the wildcard: {}",
            caa.name,
            rules.join(", ")
        ),
        hint: format!(
            "only official certificates need it: {}. IN CAA 0 issuewild \"{}\"",
            caa.name,
            issuer.unwrap_or("letsencrypt.org")
        ),
    })
}

#[cfg(test)]
mod tests;
