//! Puts a certificate into service: one write, then every way in has to serve
//! it; else the former one is put back.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use silica_api::types::Domain;
use silica_certs::inspect;
use silica_manifests::Object;

use crate::{
    address::{Addresses, Route},
    apply::{self, Conflicts},
    cluster::Cluster,
    error::Error,
    https::{Client, Trust},
    run::Context,
};

const PAUSE: Duration = Duration::from_millis(100);

/// A certificate that is in service.
pub struct Delivered {
    /// The ways in that serve it.
    pub routes: Vec<Route>,
    /// From before the write until the last of them did.
    pub took: Duration,
}

/// Writes the Secret and waits until the certificate of this fingerprint is
/// served everywhere; puts the former Secret back when the time is up.
pub async fn replace(
    context: &Context,
    cluster: &Cluster,
    domains: &[Domain],
    secret: &Secret,
    former: Option<&Secret>,
    fingerprint: &str,
) -> Result<Delivered, Error> {
    let printer = &context.printer;
    let routes = reachable_routes(cluster, domains).await?;
    printer.start("Replacement");
    let start = Instant::now();
    apply::apply(cluster, &Object::of(secret), Conflicts::Force).await?;
    if let Err(route) = wait_until_served(context, cluster, domains, &routes, fingerprint).await? {
        restore(cluster, former).await?;
        return Err(Error::NotServed { route });
    }
    let took = start.elapsed();
    printer.done(&format!(
        "served by {} after {} ms",
        listed(&routes),
        took.as_millis()
    ));
    Ok(Delivered { routes, took })
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
