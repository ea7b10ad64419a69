//! What answers at the addresses that the names should lead to.

use std::time::Duration;

use futures::future::{OptionFuture, join};
use silica_dns::Expected;
use tokio::time::timeout;

use super::{Target, VerifyDnsArgs};
use crate::{
    cli::{check::Check, error::Error},
    cluster::Cluster,
    exposure::{
        address::Route,
        exposed::{self, Wanted},
        health,
        probe::Roots,
    },
    facts, settings,
};

/// How long the connections may take.
const PROBE: Duration = Duration::from_secs(3);
const HTTPS_PORT: u16 = 443;

/// What the addresses should serve. Without a cluster only the CAs are known.
pub(super) async fn wanted(
    cluster: Option<&Cluster>,
    args: &VerifyDnsArgs,
    target: &Target,
) -> Result<Wanted, Error> {
    let domains = target.domains.clone();
    if let Some(path) = &args.ca_file {
        let pem = std::fs::read_to_string(path).map_err(|source| settings::Error::ReadFile {
            what: "the CA file",
            path: path.clone(),
            source,
        })?;
        return Ok(Wanted {
            domains,
            roots: Roots::of_bundle(&pem),
            fingerprint: None,
        });
    }
    let existing = OptionFuture::from(cluster.map(facts::read_existing));
    Ok(match timeout(args.question_timeout, existing).await {
        Ok(Some(Ok(existing))) if !existing.secrets.is_empty() => Wanted::new(domains, &existing),
        _ => Wanted {
            domains,
            roots: Roots::of_system(),
            fingerprint: None,
        },
    })
}

/// Looks at what the addresses serve for the hosts of a domain.
pub(super) async fn probe(expected: &[Expected], domain: &str, wanted: &Wanted) -> Vec<Check> {
    let routes: Vec<Route> = expected
        .iter()
        .map(|host| Route::Tcp {
            host: host.to_string(),
            port: HTTPS_PORT,
        })
        .collect();
    let wanted = Wanted {
        domains: vec![domain.to_owned()],
        ..wanted.clone()
    };
    // Each has its own limit: an answer that hangs must not hide a wrong certificate.
    let (served, healthy) = join(
        timeout(PROBE, exposed::look(&routes, &wanted)),
        timeout(PROBE, health::look(&routes, domain)),
    )
    .await;
    let late = |id, title: String| Check::warn(id, title, format!("no answer within {} s", PROBE.as_secs()));
    match (served, healthy) {
        (Ok(served), Ok(healthy)) => [served, healthy].concat(),
        (Ok(mut served), Err(_)) => {
            let title = format!("/health of {domain} at the expected addresses");
            served
                .push(late("health", title).hint("the connection stands, and nobody answers: silica status"));
            served
        }
        (Err(_), _) => vec![
            late(
                "served-certificate",
                format!("port {HTTPS_PORT} of the expected addresses"),
            )
            .hint("it may well be reachable from elsewhere; firewalls have to let clients in"),
        ],
    }
}
