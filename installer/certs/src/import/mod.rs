//! Judges a certificate that somebody else issued before it is taken into
//! service: every reason at once, so that one round of fixing is enough.

mod clients;
mod finding;
mod limits;
mod ordered;
mod path;
mod strict;

use time::{Duration, OffsetDateTime};

use self::path::{Line, display_name};
use crate::inspect::{self, Inspected, KeyKind};
use crate::names;
use crate::profile::LEAF_VALIDITY_MAX;
use crate::{verify, whole_text};

pub use clients::{Client, Outcome};
pub use finding::Finding;
pub use limits::Limit;
pub use ordered::{Ordered, ordered};
pub use strict::Strict;

/// Below this remaining life a certificate is taken with a warning.
const SOON: Duration = Duration::days(14);

/// The verdict over a chain and its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Review {
    /// The certificates as far as they could be read.
    pub chain: Vec<Inspected>,
    /// Everything that was found, refusals and warnings.
    pub findings: Vec<Finding>,
}

impl Review {
    /// Whether nothing forbids the use.
    pub fn is_acceptable(&self) -> bool {
        !self.findings.iter().any(Finding::is_refusal)
    }
}

/// Judges chain and key for apex and wildcard of the domains. `roots_pem` are
/// the CA certificates that clients trust, when they are at hand; without them
/// the chain is verified up to its last certificate.
pub fn review<D: AsRef<str>>(
    chain_pem: &str,
    key_pem: &str,
    domains: &[D],
    roots_pem: Option<&str>,
    now: OffsetDateTime,
) -> Review {
    let mut findings = Vec::new();
    let chain = match inspect::parse_chain(chain_pem) {
        Ok(chain) => chain,
        Err(error) => {
            findings.push(Finding::Chain(whole_text(&error)));
            Vec::new()
        }
    };
    let Some(leaf) = chain.first() else {
        return Review { chain, findings };
    };

    match verify::key_matches(chain_pem, key_pem) {
        Ok(()) => {}
        Err(verify::Error::KeyMismatch) => findings.push(Finding::KeyMismatch),
        // Such a key cannot be loaded because it is weak, which is told below.
        Err(verify::Error::KeyKind(_)) if path::is_weak(&leaf.key) => {}
        Err(error) => findings.push(Finding::Key(whole_text(&error))),
    }
    if leaf.is_ca {
        findings.push(Finding::AuthorityFirst);
    }
    findings.extend(order(chain_pem, &chain));
    for name in names::server_names(domains, &[]) {
        if !leaf.covers(&name) {
            findings.push(Finding::NameMissing(name));
        }
    }
    if !leaf.is_for_servers() {
        findings.push(Finding::Usage);
    }
    if leaf.key_usage.is_some_and(|usage| !usage.digital_signature) && !leaf.is_ca {
        findings.push(Finding::LeafKeyUsage);
    }
    findings.extend(dates(leaf, now));
    let trailing = leaf.names.iter().find(|name| name.ends_with('.'));
    findings.extend(trailing.cloned().map(Finding::TrailingDot));
    if leaf.authority_key_id.is_none() && !leaf.is_self_issued {
        findings.push(Finding::NoAuthorityKeyId);
    }
    if leaf.key == KeyKind::P521 {
        findings.push(Finding::Limit(Limit::ServerKey));
    }
    if leaf.key == KeyKind::Ed25519 {
        findings.push(Finding::Ed25519);
    }
    let roots = roots_pem.map(|roots| inspect::parse_chain(roots).unwrap_or_default());
    let line = Line::of(&chain, roots.as_deref());
    findings.extend(path::weaknesses(&chain, &line));
    findings.extend(of_authorities(&chain, &line));
    findings.extend(strict::findings(leaf, &path::authorities(&chain, &line)));
    let trusted = roots.as_deref().unwrap_or_default();
    findings.extend(first_ends_soon(&chain, trusted, now));
    findings.extend(line.too_long());
    if chain.len() > 1 && chain.last().is_some_and(|last| last.is_self_issued) {
        findings.push(Finding::RootIncluded);
    }
    // Within the life of the first certificate, whose dates were looked at.
    let moment = now.max(leaf.not_before).min(leaf.not_after);
    let of_path = path::check(chain_pem, &chain, roots_pem, &line, &findings, moment);
    if let Some(Finding::Incomplete { issuer: missing }) = &of_path {
        // What follows in the wrong place is told better as what is missing.
        findings.retain(|finding| !matches!(finding, Finding::Order { issuer, .. } if issuer == missing));
    }
    if of_path.is_none() {
        findings.extend(path::key_id_mismatches(&chain, trusted));
        findings.extend(path::partial(&line, trusted));
    }
    findings.extend(of_path);
    Review { chain, findings }
}

/// What the CA certificates say of themselves.
fn of_authorities(chain: &[Inspected], line: &Line) -> Vec<Finding> {
    let of = |one: &Inspected| {
        let subject = one.subject.clone();
        match &one.key_usage {
            None => Some(Finding::NoKeyUsage { subject }),
            Some(usage) if !usage.key_cert_sign => Some(Finding::MustNotSign { subject }),
            Some(_) => None,
        }
    };
    path::authorities(chain, line)
        .into_iter()
        .filter_map(of)
        .collect()
}

/// The CA above the server's certificate that ends before it, and soon.
fn first_ends_soon(chain: &[Inspected], roots: &[Inspected], now: OffsetDateTime) -> Option<Finding> {
    let first = inspect::first_to_end(chain, roots)?;
    let is_above = chain.first()?.fingerprint != first.fingerprint;
    (is_above && first.not_after >= now && first.not_after - now < SOON).then(|| Finding::IssuerExpiresSoon {
        subject: first.subject.clone(),
        at: first.not_after,
    })
}

/// A certificate that is not followed by its issuer, when another order helps. What another order
/// does not change, as an unrelated certificate, clients pass over.
fn order(chain_pem: &str, chain: &[Inspected]) -> Option<Finding> {
    if !ordered(chain_pem).ok()?.was_changed {
        return None;
    }
    let pair = chain.windows(2).find(|pair| pair[0].issuer != pair[1].subject)?;
    Some(Finding::Order {
        subject: display_name(&pair[0]),
        issuer: pair[0].issuer.clone(),
        next: display_name(&pair[1]),
    })
}

fn dates(leaf: &Inspected, now: OffsetDateTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    if now > leaf.not_after {
        findings.push(Finding::Expired(leaf.not_after));
    } else if now < leaf.not_before {
        findings.push(Finding::NotYetValid(leaf.not_before));
    } else if leaf.not_after - now < SOON {
        findings.push(Finding::ExpiresSoon(leaf.not_after));
    }
    if leaf.not_after - leaf.not_before > LEAF_VALIDITY_MAX {
        findings.push(Finding::TooLong);
    }
    findings
}
