//! Puts a certificate into service: one write, then every way in has to serve
//! it; else the former one is put back, also when the command is interrupted or
//! the write itself ends without an answer.

mod take_back;
mod ways;

use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Map, Value, json};
use silica_api::types::Domain;
use silica_certs::inspect;
use silica_manifests::Object;
use tokio::time::timeout_at;

use self::take_back::Undo;
pub use self::ways::Ways;
use crate::{
    cli::{context::Context, error::Error},
    cluster::{
        Cluster,
        apply::{self, Conflicts},
    },
    exposure::{
        address::{self, Route},
        https::{Client, Trust},
    },
};

const PAUSE: Duration = Duration::from_millis(100);
/// How often pods are read again while one of them is waited for.
const PODS_AGAIN: Duration = Duration::from_secs(1);

/// What is written.
pub struct Change<'a> {
    /// The domains of the installation.
    pub domains: &'a [Domain],
    /// The Secret with the new certificate.
    pub secret: &'a Secret,
    /// The Secret as it was before.
    pub former: Option<&'a Secret>,
    /// SHA-256 of the new certificate.
    pub fingerprint: &'a str,
}

/// A certificate that is in service, or only written when nobody was to look.
#[derive(Debug)]
pub struct Delivered {
    /// The ways in that serve it.
    pub routes: Vec<Route>,
    /// Those that did not answer before the write: what they serve is not known.
    pub skipped: Vec<Route>,
    /// From before the write until the last of them did; `None` when nobody looked.
    pub took: Option<Duration>,
}

impl Delivered {
    /// The facts for programs.
    pub fn to_json(&self) -> Map<String, Value> {
        let titles = |routes: &[Route]| routes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Map::from_iter([
            ("verified".to_owned(), json!(self.took.is_some())),
            ("servedAfterMilliseconds".to_owned(), json!(self.took.map(millis))),
            ("routes".to_owned(), json!(titles(&self.routes))),
            ("skipped".to_owned(), json!(titles(&self.skipped))),
        ])
    }
}

/// The ways by which a new certificate will be seen, `None` when nobody is to look.
/// An error when there is none, before anything is written.
pub async fn find_ways(
    context: &Context,
    cluster: &Cluster,
    domains: &[Domain],
    no_verify: bool,
) -> Result<Option<Ways>, Error> {
    if no_verify {
        return Ok(None);
    }
    let ways = Ways::find(cluster, domains).await?;
    if !ways.skipped.is_empty() {
        context.printer.warn(format!(
            "not looked at, since they do not answer from here: {}",
            listed(&ways.skipped)
        ));
    }
    Ok(Some(ways))
}

/// Writes the Secret and waits until its certificate is served by all of the ways;
/// puts the former Secret back when the time is up, or something else is wrong.
pub async fn replace(
    context: &Context,
    cluster: &Cluster,
    ways: Option<Ways>,
    change: &Change<'_>,
) -> Result<Delivered, Error> {
    let printer = &context.printer;
    printer.start("Replacement");
    let start = Instant::now();
    let undo = Undo::new(cluster, printer, change);
    let written = apply::apply(cluster, &Object::of(change.secret), Conflicts::Force).await;
    if let Err(error) = written {
        // The server may have done it, and only its answer is lost.
        return Err(undo.after(error.into()).await);
    }
    let Some(mut ways) = ways else {
        undo.disarm();
        printer.done("written, not verified (--no-verify); see: silica status");
        return Ok(Delivered {
            routes: Vec::new(),
            skipped: Vec::new(),
            took: None,
        });
    };
    if let Err(error) = wait_until_served(context, cluster, change, &mut ways).await {
        return Err(undo.after(error).await);
    }
    undo.disarm();
    let took = start.elapsed();
    printer.done(&format!(
        "served by {} after {} ms",
        listed(&ways.seen),
        took.as_millis()
    ));
    Ok(Delivered {
        routes: ways.seen,
        skipped: ways.skipped,
        took: Some(took),
    })
}

fn listed(routes: &[Route]) -> String {
    routes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
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

/// Waits for every way. A pod that goes away meanwhile is not waited for: its
/// successor reads the new certificate at its start.
async fn wait_until_served(
    context: &Context,
    cluster: &Cluster,
    change: &Change<'_>,
    ways: &mut Ways,
) -> Result<(), Error> {
    let printer = &context.printer;
    let mut read = Instant::now();
    loop {
        let looks = ways.pending.iter().map(|route| async move {
            let found = served(cluster, change.domains, route).await;
            (found.as_deref() == Some(change.fingerprint)).then(|| route.clone())
        });
        let looks = timeout_at(context.deadline, join_all(looks)).await;
        for route in looks.into_iter().flatten().flatten() {
            ways.note_seen(&route);
        }
        if ways.are_all_seen() {
            return Ok(());
        }
        if tokio::time::Instant::now() + PAUSE >= context.deadline {
            let late = ways.pending.first();
            let route = late.map_or_else(|| "any pod".to_owned(), ToString::to_string);
            return Err(Error::NotServed { route });
        }
        if read.elapsed() >= PODS_AGAIN {
            // An API server that does not answer says nothing about pods.
            let again = timeout_at(context.deadline, address::pod_routes(cluster)).await;
            if let Ok(Ok(ready)) = again {
                for gone in ways.refresh(&ready) {
                    printer.note(&format!("{gone} is gone"));
                }
            }
            read = Instant::now();
        }
        for late in &ways.pending {
            printer.note(&format!("{late} still serves the former certificate"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
