//! `silica rotate-certs`: replaces the served certificate and its key.
//!
//! The new certificate is verified against the trust bundle before it is
//! written, the write is one, and it counts only when every way in serves it;
//! else the former one is put back.

pub mod authority;
pub mod deliver;
pub mod query;

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use silica_api::{names, types::Domain};
use silica_certs::{
    inspect,
    key::KeyType,
    rotation::{Phase, Request, Waits, material::KeySource},
};
use silica_manifests::SecretKind;
use time::OffsetDateTime;

use self::{authority::Rotation, deliver::Change, query::Status};
use crate::{
    cli::{self, check::Verdict, context::Context, error::Error, exit::Exit, flags::Format, report::Output},
    cluster::{Cluster, inventory::Inventory, lock},
    commands::certs::error::Error as CertsError,
    commands::read_installed,
    facts::{self, Existing, clock},
    preflight,
    secrets::{self, Decision, contents},
    settings,
};

/// Flags of `silica rotate-certs`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica rotate-certs
  silica rotate-certs --days 30 --timeout 2m -o json
  silica rotate-certs --key-type rsa2048
  silica rotate-certs --ca                  # prepare, spread, switch; resumes
  silica rotate-certs --ca --soak 168h --timeout 200h
  silica rotate-certs status
  silica rotate-certs --ca --step retire    # once clients have the new CA
  silica rotate-certs --ca --abort")]
pub struct RotateCertsArgs {
    #[command(flatten)]
    pub format: Format,
    /// Validity of the new certificate in days
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i64).range(1..=825))]
    pub days: i64,
    /// Key of the new certificate: p256, p384, rsa2048, rsa3072 or rsa4096; that of the present one when absent
    #[arg(long, value_name = "TYPE", conflicts_with_all = ["ca", "query"])]
    pub key_type: Option<KeyType>,
    /// Show how far the replacement of the CA got
    #[arg(value_enum, conflicts_with = "ca")]
    pub query: Option<Query>,
    /// Replace the CA, too, while clients of the former one go on working
    #[arg(long)]
    pub ca: bool,
    /// Do this phase only: prepare, spread, switch, soak or retire
    #[arg(long, requires = "ca", value_name = "PHASE")]
    pub step: Option<Phase>,
    /// Time that clients get to read the new trust bundle, for example 10m [default: 2m]
    #[arg(long, requires = "ca", value_name = "DURATION", conflicts_with_all = ["step", "abort", "emergency"], value_parser = cli::flags::duration)]
    pub spread: Option<Duration>,
    /// Length of the soak; until the last certificate of the former CA ends when absent
    #[arg(long, requires = "ca", value_name = "DURATION", conflicts_with_all = ["step", "abort", "emergency"], value_parser = cli::flags::duration)]
    pub soak: Option<Duration>,
    /// Go back to the former CA; possible until it is retired
    #[arg(long, requires = "ca", conflicts_with = "step")]
    pub abort: bool,
    /// The CA's key is in wrong hands: distrust it at once, clients will fail
    #[arg(long, requires = "ca", conflicts_with_all = ["step", "abort"])]
    pub emergency: bool,
    /// Write the new certificate even if nothing shows from here whether it is served
    #[arg(long, conflicts_with = "query")]
    pub no_verify: bool,
}

impl RotateCertsArgs {
    fn request(&self) -> Request {
        let span = |time: Duration| time::Duration::try_from(time).unwrap_or(time::Duration::MAX);
        let default = Waits::default();
        match self.step {
            _ if self.abort => Request::Abort,
            Some(phase) => Request::Step(phase),
            None => Request::Automatic(Waits {
                spread: self.spread.map_or(default.spread, span),
                soak: self.soak.map_or(default.soak, span),
                outlives_leaf: self.soak.is_none(),
                retires: false,
            }),
        }
    }
}

/// What can be asked without a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Query {
    /// How far the replacement of the CA got.
    Status,
}

/// Replaces the certificate, or shows how far a replacement got.
pub async fn run(context: &Context, args: &RotateCertsArgs) -> Result<Exit, Error> {
    let cluster = context.cluster().await?;
    // Boxed: the futures are large.
    match args.query {
        Some(Query::Status) => Box::pin(status(context, &cluster)).await,
        None => {
            check_clock(context, &cluster).await?;
            lock::exclusive(&cluster, Box::pin(replace(context, &cluster, args))).await
        }
    }
}

/// Compares the clocks, as the preflight of an installation does: the dates of new
/// certificates are this machine's.
async fn check_clock(context: &Context, cluster: &Cluster) -> Result<(), Error> {
    let check = preflight::clock(clock::read(cluster).await?, true);
    match check.verdict {
        Verdict::Fail => return Err(Error::Clock { why: check.detail }),
        Verdict::Warn => context.printer.check(&check),
        Verdict::Pass | Verdict::Skip => {}
    }
    Ok(())
}

async fn status(context: &Context, cluster: &Cluster) -> Result<Exit, Error> {
    let inventory = read_installed(cluster).await?;
    let domains = installed_domains(&inventory)?;
    let rotation = Rotation::read(context, cluster, &domains, silica_certs::LEAF_VALIDITY).await?;
    let status = Status::of(&rotation.material, OffsetDateTime::now_utc());
    match context.printer.output() {
        Output::Json => context.printer.json(&status.json(None))?,
        Output::Text => context.printer.result(status.lines().join("\n"))?,
    }
    Ok(Exit::Success)
}

async fn replace(context: &Context, cluster: &Cluster, args: &RotateCertsArgs) -> Result<Exit, Error> {
    let inventory = read_installed(cluster).await?;
    let existing = facts::read_existing(cluster).await?;
    let now = OffsetDateTime::now_utc();
    let domains = installed_domains(&inventory)?;
    leave_to_cert_manager(&existing, names::TLS_SECRET)?;
    if args.ca {
        leave_to_cert_manager(&existing, names::CA_SECRET)?;
    }
    let plan = secrets::plan(&existing, &domains, None, now)?;
    if *plan.decision(SecretKind::ServingCertificate) == Decision::Foreign {
        return Err(Error::ForeignCertificate);
    }
    let validity = time::Duration::days(args.days);
    let mut rotation = Rotation::read(context, cluster, &domains, validity).await?;
    rotation.no_verify = args.no_verify;
    if let Some(chosen) = args.key_type {
        rotation.material.key = KeySource::Type(chosen);
    }
    if args.ca {
        authority(context, &mut rotation, args).await
    } else {
        leaf(context, cluster, &domains, &rotation, validity).await
    }
}

/// A new certificate of the CA that signs in the present phase.
async fn leaf(
    context: &Context,
    cluster: &Cluster,
    domains: &[Domain],
    rotation: &Rotation<'_>,
    validity: time::Duration,
) -> Result<Exit, Error> {
    let printer = &context.printer;
    let ways = deliver::find_ways(context, cluster, domains, rotation.no_verify).await?;
    let now = OffsetDateTime::now_utc();
    printer.start("Certificate");
    let renewed = rotation.material.renewed(now);
    let (leaf, authority) = renewed.map_err(CertsError::from)?;
    let fingerprint = fingerprint_of(leaf.chain_pem())?;
    let end = leaf.not_after().date();
    printer.done(&format!(
        "issued, valid until {end}, accepted by the trust bundle"
    ));
    for notice in leaf.notices(validity, now) {
        printer.warn(notice);
    }
    let change = Change {
        domains,
        secret: &contents::leaf_secret(&leaf, &authority),
        former: rotation.served(),
        fingerprint: &fingerprint,
    };
    let delivered = Box::pin(deliver::replace(context, cluster, ways, &change)).await?;
    match printer.output() {
        Output::Text => printer.result(format!("SHA-256 {fingerprint}"))?,
        Output::Json => {
            let mut facts = delivered.to_json();
            facts.insert("fingerprint".to_owned(), json!(fingerprint));
            facts.insert("notAfter".to_owned(), json!(end.to_string()));
            printer.json(&facts.into())?;
        }
    }
    Ok(Exit::Success)
}

async fn authority(
    context: &Context,
    rotation: &mut Rotation<'_>,
    args: &RotateCertsArgs,
) -> Result<Exit, Error> {
    let printer = &context.printer;
    let outcome = if args.emergency {
        let question = "Distrust the present CA at once? Every client fails until it has the new one.";
        context.confirm(question).await?;
        rotation.replace_at_once().await?
    } else {
        rotation.follow(args.request()).await?
    };
    let status = Status::of(&rotation.material, OffsetDateTime::now_utc());
    match printer.output() {
        Output::Json => printer.json(&status.json(Some(&outcome)))?,
        Output::Text => {
            printer.result(status.lines().join("\n"))?;
            printer.info(outcome);
        }
    }
    Ok(Exit::Success)
}

/// An error when cert-manager keeps this Secret: what is written there would be overwritten,
/// or fought about.
pub(super) fn leave_to_cert_manager(existing: &Existing, secret: &'static str) -> Result<(), CertsError> {
    let found = existing.secrets.get(secret);
    match found.and_then(|found| facts::certificate_of(&found.metadata)) {
        Some(certificate) => Err(CertsError::CertManager {
            secret,
            certificate: certificate.to_owned(),
        }),
        None => Ok(()),
    }
}

/// The domains that the installation answers for.
pub(super) fn installed_domains(inventory: &Inventory) -> Result<Vec<Domain>, Error> {
    let parse = |text: &String| {
        text.parse().map_err(|source| {
            Error::Settings(settings::Error::Name {
                what: "installed domain",
                origin: settings::Origin::Cluster,
                source,
            })
        })
    };
    inventory.domains.iter().map(parse).collect()
}

/// Fingerprint of the first certificate.
pub(super) fn fingerprint_of(chain_pem: &str) -> Result<String, Error> {
    let chain = inspect::parse_chain(chain_pem).map_err(secrets::Error::Inspect)?;
    Ok(chain
        .into_iter()
        .next()
        .map(|leaf| leaf.fingerprint)
        .unwrap_or_default())
}
