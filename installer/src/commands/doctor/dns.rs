//! Whether DNS leads clients to the installation, in short.

use std::collections::BTreeSet;

use silica_api::types::Domain;
use silica_dns::{Report, Severity, Verdict};

use super::Finding;
use crate::{
    cluster::reason,
    exposure::{self, address::Addresses},
};

/// What is wrong with the names of a domain, if anything.
pub(super) async fn look(domain: &Domain, addresses: &Addresses) -> Option<Finding> {
    let place = format!("DNS of {domain}");
    match exposure::dns::check(domain.as_str(), addresses.expected()).await {
        Ok(report) => not_right(place, &report),
        Err(error) => Some(Finding::new(place, format!("{error}: {}", reason(&error)))),
    }
}

/// What is wrong with the names of a domain. Records may be right and a resolver not:
/// it fails, refuses, or finds signatures that do not hold.
fn not_right(place: String, report: &Report) -> Option<Finding> {
    let decisive = report.views.iter().filter(|view| view.decides);
    // Without an address there is nothing to compare a name with.
    let wrong: BTreeSet<String> = decisive
        .flat_map(|view| &view.names)
        .filter(|name| !name.ok && name.verdict != Verdict::Unjudged)
        .map(|name| format!("{} {}", name.name, name.message))
        .collect();
    let fatal = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Fail);
    let told: Vec<String> = wrong
        .into_iter()
        .chain(fatal.map(|finding| finding.detail.clone()))
        .collect();
    let text = match report.records.len() {
        0 if report.ok || told.is_empty() => return None,
        0 => told.join("; "),
        1 => "1 record is missing or wrong".to_owned(),
        number => format!("{number} records are missing or wrong"),
    };
    Some(Finding {
        hint: Some("silica verify-dns".to_owned()),
        ..Finding::new(place, text)
    })
}

#[cfg(test)]
mod tests {
    use silica_dns::{ProbeReport, ViewKind, ViewReport, probe::Purpose};

    use super::*;

    /// What one view that decides says of one name, with records that are right.
    fn report(verdict: Verdict) -> Report {
        let name = ProbeReport {
            name: "api.a.example".into(),
            purpose: Purpose::Api,
            chain: Vec::new(),
            addresses: Vec::new(),
            ttl: None,
            ok: verdict.is_ok(),
            message: verdict.to_string(),
            verdict,
        };
        Report {
            schema: 1,
            domain: "a.example".into(),
            expected: Vec::new(),
            zone: None,
            ok: name.ok,
            views: vec![ViewReport {
                view: ViewKind::System,
                source: String::new(),
                decides: true,
                ok: Some(name.ok),
                absent: None,
                serial: None,
                names: vec![name],
            }],
            findings: Vec::new(),
            caa: None,
            records: Vec::new(),
        }
    }

    #[test]
    fn a_resolver_that_fails_is_a_finding_though_no_record_is_missing() {
        let text = |verdict| not_right("DNS".into(), &report(verdict)).map(|finding| finding.text);
        for verdict in [
            Verdict::ServerFailure { reason: None },
            Verdict::DnssecBogus { reason: None },
            Verdict::Refused,
            Verdict::Timeout,
        ] {
            let told = text(verdict.clone()).unwrap();
            assert!(told.contains(&verdict.to_string()), "{told}");
        }
        assert_eq!(text(Verdict::Matches), None);
        assert_eq!(text(Verdict::Unjudged), None);
    }
}
