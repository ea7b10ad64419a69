//! What `silica certs import` says of each kind of client is what the clients say.

use std::fmt::Write as _;

use silica_certs::import::{self, Finding};
use time::OffsetDateTime;

use crate::cases::{self, Case, DOMAIN, Expected};
use crate::clients::Client;

/// The client of the table for a kind of client, when there is one: no browser runs here.
fn measured(kind: import::Client) -> Option<Client> {
    match kind {
        import::Client::OpenSsl => Some(Client::Python),
        import::Client::Curl => Some(Client::Curl),
        import::Client::Python313 => Some(Client::Python313),
        import::Client::Rustls => Some(Client::Sdk),
        import::Client::RustlsRing => Some(Client::Rustls),
        import::Client::Go => Some(Client::Go),
        import::Client::Node => Some(Client::Node),
        import::Client::Browsers => None,
    }
}

/// The verdict as far as it is about this host and the certificates: whether a
/// server could use the key is not the clients' concern.
fn review(case: &Case) -> import::Review {
    let Case { served, roots, .. } = case;
    let now = OffsetDateTime::now_utc();
    let mut review = import::review(&served.chain, &served.key, &[DOMAIN], Some(roots), now);
    review.findings.retain(|finding| match finding {
        Finding::Key(_) | Finding::KeyMismatch => false,
        Finding::NameMissing(name) => name == DOMAIN,
        _ => true,
    });
    review
}

#[test]
fn the_verdict_on_each_client_is_that_of_the_client() {
    let mut wrong = String::new();
    // Hosts that no certificate of an installation is for are nothing that it could tell.
    let told = |case: &Case| {
        !case
            .host
            .trim_end_matches(DOMAIN)
            .trim_end_matches('.')
            .contains('.')
    };
    for case in cases::all().into_iter().filter(told) {
        let review = review(&case);
        for outcome in review.outcomes() {
            let Some(client) = measured(outcome.client) else {
                continue;
            };
            let expected = match case.expected.of(client) {
                Expected::Accepts => true,
                Expected::Refuses(_) => false,
                Expected::Varies => continue,
            };
            if outcome.is_accepted() != expected {
                writeln!(
                    wrong,
                    "{}: {} is said to {}: {:?}",
                    case.name,
                    outcome.client.title(),
                    if expected {
                        "refuse and accepts"
                    } else {
                        "accept and refuses"
                    },
                    review.findings
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
