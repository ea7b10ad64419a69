//! The outcome for people: one line for each view that is right, one for each
//! name that is not, then what to do.

use silica_dns::{Finding, ProbeReport, Report, Severity, ViewReport};

use super::{Outcome, RecordForm, is_local};
use crate::cli::{check::Check, error::Error, report::Printer};

pub(super) fn outcome(
    printer: &Printer,
    outcome: &Outcome,
    origin: &str,
    form: RecordForm,
) -> Result<(), Error> {
    let report = &outcome.report;
    printer.info(heading(report, origin));
    for view in &report.views {
        for check in view_checks(report, view) {
            printer.check(&check);
        }
    }
    for finding in &report.findings {
        printer.check(&finding_check(finding));
    }
    for check in &outcome.https {
        printer.check(check);
    }
    if !report.records.is_empty() {
        printer.info("\nAs most providers ask for it:\n");
        printer.info(silica_dns::render_table(&report.records));
        printer.result(match form {
            RecordForm::Zone => {
                printer.info("As lines of a zone file:\n");
                silica_dns::render_zone(&report.records)
            }
            RecordForm::Dnscontrol => silica_dns::render_dnscontrol(&report.records),
            RecordForm::Route53 => format!("{:#}", silica_dns::render_route53(&report.records)),
        })?;
    }
    Ok(())
}

fn heading(report: &Report, origin: &str) -> String {
    let expected: Vec<String> = report.expected.iter().map(ToString::to_string).collect();
    let wish = if expected.is_empty() {
        "leads nowhere yet".to_owned()
    } else {
        format!("should lead to {}", expected.join(", "))
    };
    let zone = match &report.zone {
        Some(zone) => format!("; zone {} at {}", zone.name, zone.servers.join(", ")),
        None => String::new(),
    };
    format!("{} {wish} ({origin}){zone}", report.domain)
}

fn view_checks(report: &Report, view: &ViewReport) -> Vec<Check> {
    let id = "dns";
    let title = view.title();
    if let Some(reason) = &view.absent {
        return vec![Check::skip(id, format!("{title}: not asked"), reason.clone())];
    }
    if view.ok == Some(true) {
        return vec![Check::pass(id, format!("{title}: {}", summary(view)))];
    }
    // Local names are looked up without DNS by some programs and not by others;
    // the finding says it once.
    if is_local(report) && !view.decides {
        return Vec::new();
    }
    let wrong = view.names.iter().filter(|name| !name.ok);
    wrong
        .map(|name| {
            let title = format!("{title}: {}", name.name);
            if view.decides {
                Check::fail(id, title, detail(name))
            } else {
                Check::warn(id, title, detail(name))
            }
        })
        .collect()
}

fn summary(view: &ViewReport) -> String {
    let count = view.names.len();
    let mut addresses: Vec<String> = view
        .names
        .iter()
        .flat_map(|name| &name.addresses)
        .map(ToString::to_string)
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ttl = view.names.iter().filter_map(|name| name.ttl).min();
    let ttl = ttl.map(|ttl| format!(", TTL {ttl} s")).unwrap_or_default();
    format!("{count} of {count} names lead to {}{ttl}", addresses.join(", "))
}

fn detail(name: &ProbeReport) -> String {
    let text = name.to_string();
    let text = text.strip_prefix(name.name.as_str()).unwrap_or(&text);
    text.trim().to_owned()
}

fn finding_check(finding: &Finding) -> Check {
    let title = finding.id.replace('-', " ");
    let check = match finding.severity {
        Severity::Warn => Check::warn(finding.id, title, finding.detail.clone()),
        Severity::Fail => Check::fail(finding.id, title, finding.detail.clone()),
    };
    check.hint(finding.hint.clone())
}
