//! `silica rotate-certs`: replaces the served certificate and its key.
//!
//! The new certificate is verified against the trust bundle before it is
//! written, the write is one, and it counts only when every way in serves it;
//! else the former one is put back.

use std::time::{Duration, Instant};

use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use silica_api::{names, types::Domain};
use silica_certs::{inspect, leaf::LeafRequest, verify};
use silica_manifests::{Object, SecretKind};
use time::OffsetDateTime;

use crate::{
    address::{Addresses, Route},
    apply::{self, Conflicts},
    cli::Format,
    cluster::Cluster,
    error::Error,
    exit::Exit,
    facts,
    https::{Client, Trust},
    report::Output,
    run::Context,
    secrets::{self, Decision, contents, served_names},
    settings,
};

const PAUSE: Duration = Duration::from_millis(100);

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
    let mut domains: Vec<Domain> = Vec::new();
    for text in &inventory.domains {
        domains.push(text.parse().map_err(|source| settings::Error::Name {
            what: "installed domain",
            source,
        })?);
    }
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

    let routes = reachable_routes(&cluster, &domains).await?;
    printer.start("Replacement");
    let start = Instant::now();
    apply::apply(
        &cluster,
        &Object::of(&contents::leaf_secret(&leaf, &authority)),
        Conflicts::Force,
    )
    .await?;
    if let Err(route) = wait_until_served(context, &cluster, &domains, &routes, &fingerprint).await? {
        restore(&cluster, existing.secrets.get(names::TLS_SECRET)).await?;
        return Err(Error::NotServed { route });
    }
    let took = start.elapsed();
    printer.done(&format!(
        "served by {} after {} ms",
        listed(&routes),
        took.as_millis()
    ));
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

fn fingerprint_of(chain_pem: &str) -> Result<String, Error> {
    let chain = inspect::parse_chain(chain_pem).map_err(secrets::Error::Inspect)?;
    Ok(chain
        .into_iter()
        .next()
        .map(|leaf| leaf.fingerprint)
        .unwrap_or_default())
}

fn listed(routes: &[Route]) -> String {
    routes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The ways by which the current certificate can be seen: every address that
/// answers, and every pod of the manager.
async fn reachable_routes(cluster: &Cluster, domains: &[Domain]) -> Result<Vec<Route>, Error> {
    let addresses = Addresses::read(cluster).await?;
    let outside = addresses
        .routes()
        .into_iter()
        .filter(|route| matches!(route, Route::Tcp { .. }));
    let inside = addresses
        .pods
        .iter()
        .map(|pod| Route::Forward { pod: pod.clone() });
    let mut reachable = Vec::new();
    for route in outside.chain(inside) {
        if served(cluster, domains, &route).await.is_some() {
            reachable.push(route);
        }
    }
    Ok(reachable)
}

/// Fingerprint of what a route serves for the API's name, when it answers.
async fn served(cluster: &Cluster, domains: &[Domain], route: &Route) -> Option<String> {
    let host = domains.first()?.api_host();
    let client = Client::new(cluster, route.clone(), Trust::Anybody).ok()?;
    let certificate = client.served_certificate(&host).await.ok()?;
    inspect::parse_der(&certificate)
        .ok()
        .map(|certificate| certificate.fingerprint)
}

/// Waits for every route; the inner error is the one that did not follow.
async fn wait_until_served(
    context: &Context,
    cluster: &Cluster,
    domains: &[Domain],
    routes: &[Route],
    fingerprint: &str,
) -> Result<Result<(), Route>, Error> {
    for route in routes {
        while served(cluster, domains, route).await.as_deref() != Some(fingerprint) {
            if tokio::time::Instant::now() + PAUSE >= context.deadline {
                return Ok(Err(route.clone()));
            }
            context
                .printer
                .note(&format!("{route} still serves the former certificate"));
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(Ok(()))
}

/// Puts the former certificate back.
async fn restore(cluster: &Cluster, former: Option<&Secret>) -> Result<(), Error> {
    let Some(former) = former else { return Ok(()) };
    let mut former = former.clone();
    // Server-side apply takes no object with the marks of an earlier state.
    former.metadata.managed_fields = None;
    former.metadata.resource_version = None;
    former.metadata.uid = None;
    apply::apply(cluster, &Object::of(&former), Conflicts::Force).await?;
    Ok(())
}
