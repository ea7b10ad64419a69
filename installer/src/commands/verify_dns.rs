//! `silica verify-dns`: whether DNS leads clients to the installation.

use std::time::Duration;

use clap::Args;
use silica_dns::{Expected, Report, Request, ResolverChoice};

use crate::{
    address::{self, Addresses},
    check::Check,
    cli::Format,
    error::Error,
    exit::Exit,
    facts,
    report::Output,
    run::Context,
};

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(3);

/// Flags of `silica verify-dns`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica verify-dns
  silica verify-dns --domain sandbox.example.com --expect 203.0.113.7
  silica verify-dns -o json | jq .[0].records")]
pub struct VerifyDnsArgs {
    #[command(flatten)]
    pub format: Format,
    /// Domain to check; those of the installation when absent
    #[arg(long, short, value_name = "DOMAIN")]
    pub domain: Vec<String>,
    /// Address or host name that the domain should lead to; read from the cluster when absent
    #[arg(long, value_name = "ADDRESS")]
    pub expect: Vec<String>,
}

/// Checks every domain.
pub async fn run(context: &Context, args: &VerifyDnsArgs) -> Result<Exit, Error> {
    let mut domains = args.domain.clone();
    let mut expected: Vec<Expected> = args.expect.iter().map(|host| address::expected(host)).collect();
    if domains.is_empty() || expected.is_empty() {
        let cluster = context.cluster().await?;
        if domains.is_empty() {
            domains = facts::read_inventory(&cluster)
                .await?
                .ok_or(Error::NotInstalled)?
                .domains;
        }
        if expected.is_empty() {
            expected = Addresses::read(&cluster).await?.expected();
        }
    }
    let mut reports = Vec::new();
    for domain in &domains {
        reports.push(check(domain, expected.clone()).await?);
    }
    let printer = &context.printer;
    match printer.output() {
        Output::Json => printer.json(&serde_json::to_value(&reports)?),
        Output::Text => {
            for report in &reports {
                show(context, report);
            }
        }
    }
    let fine = reports.iter().all(|report| report.ok);
    Ok(if fine { Exit::Success } else { Exit::Findings })
}

/// Asks DNS about one domain.
pub async fn check(domain: &str, expected: Vec<Expected>) -> Result<Report, silica_dns::Error> {
    let request = Request {
        domain: domain.to_owned(),
        expected,
        resolvers: ResolverChoice::System,
        timeout: QUESTION,
    };
    silica_dns::verify(&request).await
}

fn show(context: &Context, report: &Report) {
    let printer = &context.printer;
    for probe in &report.probes {
        let check = if probe.ok {
            Check::pass("dns", probe.to_string())
        } else {
            Check::fail("dns", probe.name.clone(), probe.message.clone())
        };
        printer.check(&check);
    }
    if !report.records.is_empty() {
        printer.info(format!("\nrecords to create for {}:", report.domain));
        printer.result(silica_dns::render_zone(&report.records));
    }
}
