//! `silica rotate-certs`: replaces the served certificate and its key.
//!
//! The new certificate is verified against the trust bundle before it is
//! written, the write is one, and it counts only when every way in serves it;
//! else the former one is put back.

pub mod authority;
pub mod deliver;

use clap::{Args, ValueEnum};
use serde_json::json;
use silica_api::{names, types::Domain};
use silica_certs::{
    inspect,
    key::{KeyType, ServerKey},
    leaf::LeafRequest,
    rotation::{Phase, Request},
    verify,
};
use silica_manifests::SecretKind;
use time::OffsetDateTime;

use self::{authority::Rotation, deliver::Delivered};
use crate::{
    cli::Format,
    cluster::Cluster,
    error::Error,
    exit::Exit,
    facts,
    inventory::Inventory,
    report::Output,
    run::Context,
    secrets::{self, Decision, contents, served_names},
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
    /// Go back to the former CA; possible until it is retired
    #[arg(long, requires = "ca", conflicts_with = "step")]
    pub abort: bool,
    /// The CA's key is in wrong hands: distrust it at once, clients will fail
    #[arg(long, requires = "ca", conflicts_with_all = ["step", "abort"])]
    pub emergency: bool,
}

/// What can be asked without a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Query {
    /// How far the replacement of the CA got.
    Status,
}

/// Replaces the certificate.
pub async fn run(context: &Context, args: &RotateCertsArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let cluster = context.cluster().await?;
    printer.start("Certificate");
    let inventory = facts::read_inventory(&cluster)
        .await?
        .ok_or(Error::NotInstalled)?;
    let existing = facts::read_existing(&cluster).await?;
    let now = OffsetDateTime::now_utc();
    let domains = installed_domains(&inventory)?;
    let plan = secrets::plan(&existing, &domains, None, now)?.with_key_type(args.key_type);
    if *plan.decision(SecretKind::ServingCertificate) == Decision::Foreign {
        return Err(Error::ForeignCertificate);
    }
    if args.ca || args.query.is_some() {
        return Box::pin(authority(context, &cluster, &domains, args)).await;
    }
    let authority = contents::load_authority(&existing)?;
    let names = served_names(&domains);
    let request = LeafRequest {
        names: names.clone(),
        validity: time::Duration::days(args.days),
    };
    let key = ServerKey::generate(plan.key_type).map_err(secrets::Error::Key)?;
    let leaf = authority
        .issue_for(&key, &request, now)
        .map_err(secrets::Error::Leaf)?;
    // Against what clients have, not against the CA that has just signed.
    let trusted = existing.ca_bundle.as_deref().unwrap_or_default();
    for name in &names {
        verify::chain(leaf.chain_pem(), trusted, name, now).map_err(Error::NewCertificate)?;
    }
    let fingerprint = fingerprint_of(leaf.chain_pem())?;
    let end = leaf.not_after().date();
    printer.done(&format!(
        "issued, valid until {end}, accepted by the trust bundle"
    ));

    let secret = contents::leaf_secret(&leaf, &authority);
    let former = existing.secrets.get(names::TLS_SECRET);
    let Delivered { routes, took } = Box::pin(deliver::replace(
        context,
        &cluster,
        &domains,
        &secret,
        former,
        &fingerprint,
    ))
    .await?;
    match printer.output() {
        Output::Text => printer.result(format!("SHA-256 {fingerprint}")),
        Output::Json => printer.json(&json!({
            "fingerprint": fingerprint,
            "notAfter": end.to_string(),
            "servedAfterMilliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "routes": routes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })),
    }
    Ok(Exit::Success)
}

async fn authority(
    context: &Context,
    cluster: &Cluster,
    domains: &[Domain],
    args: &RotateCertsArgs,
) -> Result<Exit, Error> {
    let printer = &context.printer;
    printer.stop();
    let validity = time::Duration::days(args.days);
    let mut rotation = Rotation::read(context, cluster, domains, validity).await?;
    let outcome = if args.query.is_some() {
        None
    } else if args.emergency {
        let question = "Distrust the present CA at once? Every client fails until it has the new one.";
        context.confirm(question).await?;
        Some(rotation.replace_at_once().await?)
    } else {
        let asked = match args.step {
            _ if args.abort => Request::Abort,
            Some(phase) => Request::Step(phase),
            None => Request::Automatic,
        };
        Some(rotation.follow(asked).await?)
    };
    let rotation = Rotation::read(context, cluster, domains, validity).await?;
    let state = rotation.state();
    let done = state.as_ref().map(|state| state.done.as_str());
    match printer.output() {
        Output::Json => printer.json(&json!({
            "phase": done,
            "since": state.as_ref().map(|state| state.since.to_string()),
            "oldLeafUntil": state.as_ref().map(|state| state.old_leaf_until.to_string()),
            "next": outcome,
        })),
        Output::Text => {
            printer.result(match &state {
                None => "no rotation of the CA is under way".to_owned(),
                Some(state) => format!("phase {} done since {}", state.done, state.since),
            });
            if let Some(outcome) = outcome {
                printer.info(outcome);
            }
        }
    }
    Ok(Exit::Success)
}

/// The domains that the installation answers for.
pub(super) fn installed_domains(inventory: &Inventory) -> Result<Vec<Domain>, Error> {
    let parse = |text: &String| {
        text.parse().map_err(|source| {
            Error::Settings(settings::Error::Name {
                what: "installed domain",
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
