//! Compares what the addresses of an installation serve with the certificate in
//! its Secret, host by host, as clients see it.

use std::time::Duration;

use futures::{StreamExt, future::join_all, stream};
use silica_api::names;
use silica_certs::{inspect, verify};
use tokio::time::Instant;

use crate::{
    cli::{
        check::{Check, Verdict as Outcome},
        report::Printer,
    },
    exposure::{
        address::Route,
        https,
        probe::{self, Roots, Served, Verdict},
    },
    facts::Existing,
    secrets::{client_roots, text},
};
use silica_api::names::TLS_CERTIFICATE;

const ID: &str = "served-certificate";
/// Pause between two looks at servers that have not taken the certificate up.
const PAUSE: Duration = Duration::from_millis(300);
/// Handshakes under way at a time; clusters may have many nodes.
const CONCURRENCY: usize = 16;

/// What should be served.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The domains of the installation.
    pub domains: Vec<String>,
    /// Whom clients trust.
    pub roots: Roots,
    /// Fingerprint of the certificate in the Secret, when there is one.
    pub fingerprint: Option<String>,
}

impl Wanted {
    /// The wish that follows from the Secrets of an installation.
    pub fn new(domains: Vec<String>, existing: &Existing) -> Self {
        let chain = text(existing, names::TLS_SECRET, TLS_CERTIFICATE).map(inspect::parse_chain);
        let first = chain
            .and_then(Result::ok)
            .and_then(|chain| chain.into_iter().next());
        Self {
            domains,
            roots: Roots::of_bundle(client_roots(existing).unwrap_or_default()),
            fingerprint: first.map(|leaf| leaf.fingerprint),
        }
    }
}

/// Looks at every address from outside, all at once: one check for each.
pub async fn look(routes: &[Route], wanted: &Wanted) -> Vec<Check> {
    let outside = routes.iter().filter_map(|route| match route {
        Route::Tcp { host, port } => Some((route, host, *port)),
        Route::Forward { .. } => None,
    });
    stream::iter(outside)
        .map(|(route, host, port)| async move {
            let asked: Vec<String> = wanted
                .domains
                .iter()
                .flat_map(|domain| probe::hosts(domain))
                .collect();
            let seen = asked
                .iter()
                .map(|sni| probe::probe(host, port, sni, &wanted.roots));
            judge(route, join_all(seen).await, wanted)
        })
        .buffered(CONCURRENCY)
        .collect()
        .await
}

/// Looks again and again until nothing is wrong or the time is up: controllers
/// take seconds to load a certificate. Returns the last look.
pub async fn wait_until_served(
    routes: &[Route],
    wanted: &Wanted,
    deadline: Instant,
    printer: &Printer,
) -> Vec<Check> {
    loop {
        let checks = look(routes, wanted).await;
        let wrong = checks.iter().find(|check| check.verdict == Outcome::Fail);
        match wrong {
            Some(wrong) if Instant::now() + PAUSE < deadline => {
                printer.note(&format!("{}: {}", wrong.title, wrong.detail));
                tokio::time::sleep(PAUSE).await;
            }
            _ => return checks,
        }
    }
}

/// The worst of what an address showed decides.
fn judge(route: &Route, seen: Vec<Result<Served, https::Error>>, wanted: &Wanted) -> Check {
    let title = format!("{route} serves the certificate of the installation");
    let mut other = None;
    let mut unreachable = None;
    for answer in seen {
        let served = match answer {
            Ok(served) => served,
            Err(error @ https::Error::Tls { .. }) => {
                return Check::fail(ID, title, error.to_string()).hint(controller_hint());
            }
            Err(error) => {
                unreachable = Some(error);
                continue;
            }
        };
        match &served.verdict {
            Verdict::Trusted if wanted.fingerprint.as_deref().is_some_and(|it| !served.is(it)) => {
                other = Some(served.host);
            }
            Verdict::Trusted => {}
            Verdict::StandIn { .. } => {
                let detail = format!("for {}: {}", served.host, served.verdict);
                return Check::fail(ID, title, detail).hint(controller_hint());
            }
            Verdict::Refused(why) => {
                let detail = format!("clients refuse it for {}: {why}", served.host);
                return Check::fail(ID, title, detail).hint(refusal_hint(why));
            }
        }
    }
    if let Some(error) = unreachable {
        return Check::warn(ID, title, error.to_string())
            .hint("it may well be reachable from elsewhere; firewalls have to let clients in");
    }
    if let Some(host) = other {
        let detail = format!(
            "clients accept what it serves for {host}, but it is not the one of Secret {}/{}",
            names::NAMESPACE,
            names::TLS_SECRET
        );
        return Check::warn(ID, title, detail).hint(
            "something in front terminates TLS with a certificate of its own; renewals have to happen there",
        );
    }
    Check::pass(ID, title)
}

fn controller_hint() -> String {
    format!(
        "the controller has found no certificate for that host: it has to watch namespace {} and to support \
         wildcard hosts; kubectl describe ingress,gateway,httproute -n {}",
        names::NAMESPACE,
        names::NAMESPACE
    )
}

fn refusal_hint(why: &verify::Error) -> &'static str {
    match why {
        verify::Error::Expired { .. } => "silica rotate-certs",
        verify::Error::NameMismatch { .. } => {
            "another site answers there: compare the address with the Ingress, Gateway or Service of sandbox-system"
        }
        _ => "silica certs inspect HOST --connect ADDRESS:443 shows what is served, and who issued it",
    }
}

#[cfg(test)]
mod tests {
    use silica_certs::{
        authority::{Authority, AuthorityRequest},
        leaf::{Leaf, LeafRequest},
        pem,
    };
    use time::OffsetDateTime;

    use super::*;

    const DOMAIN: &str = "a.example";

    fn authority() -> Authority {
        let names = vec![DOMAIN.to_owned()];
        let request = AuthorityRequest::new(names.clone(), names);
        Authority::create(&request, OffsetDateTime::now_utc()).unwrap()
    }

    fn leaf(authority: &Authority, names: &[&str]) -> Leaf {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = LeafRequest::new(names);
        authority.issue(&request, OffsetDateTime::now_utc()).unwrap()
    }

    fn wanted(authority: &Authority, leaf: &Leaf) -> Wanted {
        Wanted {
            domains: vec![DOMAIN.into()],
            roots: Roots::of_bundle(authority.certificate_pem()),
            fingerprint: Some(
                inspect::parse_chain(leaf.chain_pem()).unwrap()[0]
                    .fingerprint
                    .clone(),
            ),
        }
    }

    /// What an address with this certificate shows for the hosts of the domain.
    fn shown(leaf: &Leaf, wanted: &Wanted) -> Vec<Result<Served, https::Error>> {
        let chain = pem::certificates(leaf.chain_pem()).unwrap();
        probe::hosts(DOMAIN)
            .iter()
            .map(|host| {
                Ok(probe::judge(
                    host,
                    chain.clone(),
                    &wanted.roots,
                    OffsetDateTime::now_utc(),
                ))
            })
            .collect()
    }

    fn route() -> Route {
        Route::Tcp {
            host: "192.0.2.1".into(),
            port: 443,
        }
    }

    #[test]
    fn the_certificate_of_the_secret_passes_and_another_trusted_one_warns() {
        let authority = authority();
        let own = leaf(&authority, &[DOMAIN, "*.a.example"]);
        let other = leaf(&authority, &[DOMAIN, "*.a.example"]);
        let wanted = wanted(&authority, &own);
        assert_eq!(
            judge(&route(), shown(&own, &wanted), &wanted).verdict,
            Outcome::Pass
        );
        assert_eq!(
            judge(&route(), shown(&other, &wanted), &wanted).verdict,
            Outcome::Warn
        );
    }

    #[test]
    fn a_certificate_without_wildcard_fails_for_sandboxes() {
        let authority = authority();
        let narrow = leaf(&authority, &[DOMAIN, "api.a.example"]);
        let wanted = wanted(&authority, &narrow);
        let check = judge(&route(), shown(&narrow, &wanted), &wanted);
        assert_eq!(check.verdict, Outcome::Fail);
        assert!(check.detail.contains("not valid for"), "{}", check.detail);
    }

    #[test]
    fn an_address_that_does_not_answer_here_is_no_failure() {
        let authority = authority();
        let wanted = wanted(&authority, &leaf(&authority, &[DOMAIN]));
        let silent = || https::Error::Connect {
            route: "192.0.2.1:443".into(),
            why: "refused".into(),
        };
        let check = judge(&route(), vec![Err(silent()), Err(silent())], &wanted);
        assert_eq!(check.verdict, Outcome::Warn);
    }
}
