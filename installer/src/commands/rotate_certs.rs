//! `silica rotate-certs`: replaces the served certificate and its key.
//!
//! The new certificate is verified against the trust bundle before it is
//! written, the write is one, and it counts only when every way in serves it;
//! else the former one is put back.

pub mod deliver;

use clap::Args;
use serde_json::json;
use silica_api::{names, types::Domain};
use silica_certs::{inspect, leaf::LeafRequest, verify};
use silica_manifests::SecretKind;
use time::OffsetDateTime;

use self::deliver::Delivered;
use crate::{
    cli::Format,
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
  silica rotate-certs --days 30 --timeout 2m -o json")]
pub struct RotateCertsArgs {
    #[command(flatten)]
    pub format: Format,
    /// Validity of the new certificate in days
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i64).range(1..=825))]
    pub days: i64,
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
    let plan = secrets::plan(&existing, &domains, None, now)?;
    if *plan.decision(SecretKind::ServingCertificate) == Decision::Foreign {
        return Err(Error::ForeignCertificate);
    }
    let authority = contents::load_authority(&existing)?;
    let names = served_names(&domains);
    let request = LeafRequest {
        names: names.clone(),
        validity: time::Duration::days(args.days),
    };
    let leaf = authority.issue(&request, now).map_err(secrets::Error::Leaf)?;
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
    let Delivered { routes, took } =
        deliver::replace(context, &cluster, &domains, &secret, former, &fingerprint).await?;
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
