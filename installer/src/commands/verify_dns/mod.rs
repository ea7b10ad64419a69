//! `silica verify-dns`: whether DNS leads clients to the installation.

mod https;
mod show;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};
use futures::future::{OptionFuture, join, join_all};
use serde_json::{Value, json};
use silica_dns::{ClusterDns, Expected, PUBLIC, Progress, Report, Request, ViewKind, probe::is_localhost};

use crate::{
    cli::{
        self,
        check::{Check, Verdict},
        context::Context,
        error::Error,
        exit::Exit,
        flags::Format,
        report::Output,
    },
    cluster::Cluster,
    commands::read_installed,
    exposure::{
        address::{self, Addresses},
        cluster_dns::ServiceDns,
    },
    settings,
};

const DNS_PORT: u16 = 53;

/// Flags of `silica verify-dns`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica verify-dns
  silica verify-dns --wait --timeout 10m
  silica verify-dns --domain sandbox.example.com --expect 203.0.113.7
  silica verify-dns --domain sandbox.example.com --expect lb.cloud.example --resolver 10.0.0.2 --public
  silica verify-dns -o json | jq .[0].records
  silica verify-dns --records route53 > batch.json      # then aws route53 change-resource-record-sets

Exit codes: 0 all names are right, 79 some are not (or nothing says where they should lead),
124 still not right at the end of --wait")]
pub struct VerifyDnsArgs {
    #[command(flatten)]
    pub format: Format,
    /// Domain to check; those of the installation when absent
    #[arg(long, short, value_name = "DOMAIN")]
    pub domain: Vec<String>,
    /// Address or host name that the domain should lead to; read from the cluster when absent
    #[arg(
        long,
        visible_alias = "address",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub expect: Vec<String>,
    // Not a doc comment: brackets would be links there.
    #[arg(help = "Ask this resolver too, as IP, IP:PORT or [IPv6]:PORT; may be repeated", long, value_name = "ADDRESS", value_parser = resolver)]
    pub resolver: Vec<SocketAddr>,
    /// Ask well-known public resolvers too: 1.1.1.1, 8.8.8.8 and 9.9.9.9
    #[arg(long)]
    pub public: bool,
    /// Query only these views; all when absent
    #[arg(long, value_enum, value_name = "VIEW", value_delimiter = ',')]
    pub view: Vec<ViewArg>,
    /// CA that the CAA records have to permit, for example letsencrypt.org
    #[arg(long, value_name = "DOMAIN")]
    pub issuer: Option<String>,
    /// Wait until all names are right, at most for the --timeout of the command
    #[arg(long)]
    pub wait: bool,
    /// Connect to the addresses over TLS, compare the certificate, and ask the API for /health
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub probe: bool,
    /// CA certificate that clients trust; the installation's, else those of this machine when absent
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Form of the records to create: lines of a zone file, dnscontrol, or a change batch of Route 53
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    pub records: RecordForm,
    /// How long one question may take
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = cli::flags::duration)]
    pub question_timeout: Duration,
}

/// Form of the records that are missing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum RecordForm {
    /// Lines of a zone file
    #[default]
    Zone,
    /// Lines for the D() of a dnsconfig.js
    Dnscontrol,
    /// JSON for aws route53 change-resource-record-sets --change-batch
    Route53,
}

/// A view on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ViewArg {
    /// The resolver of this machine, asked as the E2B Python SDK asks it
    System,
    /// getaddrinfo of this machine, as curl and Node ask it
    Libc,
    /// Each name server of the zone, without any cache
    Authoritative,
    /// The resolvers of --resolver
    Resolver,
    /// The public resolvers of --public
    Public,
    /// The DNS service of the cluster, as pods see it
    Cluster,
}

impl ViewArg {
    fn kind(self) -> ViewKind {
        match self {
            Self::System => ViewKind::System,
            Self::Libc => ViewKind::Libc,
            Self::Authoritative => ViewKind::Authoritative,
            Self::Resolver => ViewKind::Resolver,
            Self::Public => ViewKind::Public,
            Self::Cluster => ViewKind::Cluster,
        }
    }
}

fn resolver(text: &str) -> Result<SocketAddr, String> {
    let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
    bare.or_else(|_| text.parse())
        .map_err(|_| "expected an IP address, or one with a port such as 10.0.0.2:5353".into())
}

/// What is checked, and against what.
struct Target {
    domains: Vec<String>,
    expected: Vec<Expected>,
    /// Where the expectation comes from, for people.
    origin: &'static str,
}

/// The outcome for one domain.
struct Outcome {
    report: Report,
    https: Vec<Check>,
}

impl Outcome {
    fn is_fine(&self) -> bool {
        self.report.ok && self.https.iter().all(|check| check.verdict != Verdict::Fail)
    }

    fn to_json(&self) -> Result<Value, serde_json::Error> {
        let mut value = serde_json::to_value(&self.report)?;
        value["https"] = json!(self.https);
        value["ok"] = json!(self.is_fine());
        Ok(value)
    }
}

/// Checks every domain.
pub async fn run(context: &Context, args: &VerifyDnsArgs) -> Result<Exit, Error> {
    let (target, cluster) = target(context.cluster().await, args).await?;
    let wanted = OptionFuture::from(args.probe.then(|| https::wanted(cluster.as_ref(), args, &target)));
    let dns = cluster.as_ref().map(ServiceDns::new);
    let dns = dns.as_ref().map(|dns| dns as &dyn ClusterDns);
    let looks = join_all(
        target
            .domains
            .iter()
            .map(|domain| look(context, args, domain, &target, dns)),
    );
    let (wanted, reports) = join(wanted, looks).await;
    let wanted = wanted.transpose()?;
    let mut outcomes = Vec::new();
    for report in reports {
        let report = report?;
        let https = match &wanted {
            Some(wanted) => https::probe(&target.expected, &report.domain, wanted).await,
            None => Vec::new(),
        };
        outcomes.push(Outcome { report, https });
    }

    let printer = &context.printer;
    match printer.output() {
        Output::Json => {
            let values: Result<Vec<Value>, _> = outcomes.iter().map(Outcome::to_json).collect();
            printer.json(&Value::Array(values?))?;
        }
        Output::Text => {
            for outcome in &outcomes {
                show::outcome(printer, outcome, target.origin, args.records)?;
            }
        }
    }
    Ok(if outcomes.iter().all(Outcome::is_fine) {
        Exit::Success
    } else if args.wait {
        Exit::Timeout
    } else {
        Exit::Findings
    })
}

/// What was said, completed from the cluster, without which everything has to be
/// said; else it only adds to what is seen.
async fn target(
    cluster: Result<Cluster, Error>,
    args: &VerifyDnsArgs,
) -> Result<(Target, Option<Cluster>), Error> {
    let mut domains = args.domain.clone();
    let mut origin = "as said";
    let mut expected = args
        .expect
        .iter()
        .map(|host| address::parse(host))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| settings::Error::Address {
            origin: settings::Origin::Flag("expect".into()),
            source,
        })?;
    let cluster = if domains.is_empty() || expected.is_empty() {
        let cluster = cluster?;
        if domains.is_empty() {
            domains = read_installed(&cluster).await?.domains;
        }
        if expected.is_empty() {
            let addresses = Addresses::read(&cluster).await?;
            expected = addresses.expected();
            origin = addresses.origin();
        }
        Some(cluster)
    } else {
        cluster.ok()
    };
    let target = Target {
        domains,
        expected,
        origin,
    };
    Ok((target, cluster))
}

async fn look(
    context: &Context,
    args: &VerifyDnsArgs,
    domain: &str,
    target: &Target,
    dns: Option<&dyn ClusterDns>,
) -> Result<Report, silica_dns::Error> {
    let views: BTreeSet<ViewKind> = if args.view.is_empty() {
        ViewArg::value_variants().iter().map(|view| view.kind()).collect()
    } else {
        args.view.iter().map(|view| view.kind()).collect()
    };
    let request = Request {
        views,
        resolvers: args.resolver.clone(),
        public: if args.public { PUBLIC.into() } else { Vec::new() },
        issuer: args.issuer.clone(),
        timeout: args.question_timeout,
        ..Request::new(domain, target.expected.clone())
    };
    if !args.wait {
        return silica_dns::verify(&request, dns).await;
    }
    let printer = &context.printer;
    printer.start(&format!("DNS of {domain}"));
    let told = |progress: &Progress| {
        for (view, wrong) in &progress.wrong {
            printer.note(&format!("{view}: {wrong}"));
        }
        if !progress.right.is_empty() {
            printer.note(&format!("right already: {}", progress.right.join(", ")));
        }
    };
    let report = silica_dns::wait(&request, dns, context.deadline, told).await;
    printer.stop();
    report
}

/// Whether the domain needs no DNS at all.
fn is_local(report: &Report) -> bool {
    is_localhost(&report.domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_come_with_or_without_port() {
        let parsed = |text| resolver(text).map(|address| address.to_string());
        assert_eq!(parsed("10.0.0.2"), Ok("10.0.0.2:53".into()));
        assert_eq!(parsed("10.0.0.2:5353"), Ok("10.0.0.2:5353".into()));
        assert_eq!(parsed("::1"), Ok("[::1]:53".into()));
        assert_eq!(parsed("[::1]:5353"), Ok("[::1]:5353".into()));
        assert!(resolver("dns.example").is_err());
    }
}
