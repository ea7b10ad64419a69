//! Judges a certificate that somebody else issued before it is taken into
//! service: every reason at once, so that one round of fixing is enough.

mod finding;

use time::{Duration, OffsetDateTime};

pub use self::finding::Finding;
use crate::inspect::{self, Inspected, KeyKind};
use crate::names;
use crate::profile::LEAF_VALIDITY_MAX;
use crate::{pem, verify, whole_text};

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

/// A chain in the order in which a server sends it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ordered {
    /// The server's certificate, then each issuer behind what it signed. What
    /// could not be linked comes last, for [`review`] to name it.
    pub served: String,
    /// The self-signed root, when it came along; clients have it.
    pub root: Option<String>,
    /// Whether certificates changed places or came twice.
    pub was_changed: bool,
}

/// Repairs the order of a chain.
pub fn ordered(chain_pem: &str) -> Result<Ordered, pem::Error> {
    let mut rest = Vec::new();
    for der in pem::certificates(chain_pem)? {
        match inspect::parse_der(&der) {
            Ok(parsed) => rest.push((parsed, pem::encode_certificate(&der))),
            // What cannot be parsed stays as it is: the review tells why.
            Err(_) => {
                return Ok(Ordered {
                    served: chain_pem.to_owned(),
                    root: None,
                    was_changed: false,
                });
            }
        }
    }
    let before: Vec<String> = rest.iter().map(|(_, text)| text.clone()).collect();
    let mut served: Vec<(Inspected, String)> = Vec::with_capacity(rest.len());
    let mut next = rest.iter().position(|(one, _)| !one.is_ca).or(Some(0));
    while let Some(index) = next.filter(|index| *index < rest.len()) {
        let (issuer, signer) = (
            rest[index].0.issuer.clone(),
            rest[index].0.authority_key_id.clone(),
        );
        served.push(rest.remove(index));
        let last = served.last().map(|(one, _)| one.fingerprint.clone());
        rest.retain(|(one, _)| Some(&one.fingerprint) != last.as_ref());
        // Two generations of a CA may share their name: the key identifier
        // tells them apart.
        let fits = |one: &Inspected| {
            one.subject == issuer
                && (signer.is_none() || one.subject_key_id.is_none() || one.subject_key_id == signer)
        };
        next = rest.iter().position(|(one, _)| fits(one));
    }
    served.append(&mut rest);
    let after: Vec<String> = served.iter().map(|(_, text)| text.clone()).collect();
    let has_root = served.len() > 1 && served.last().is_some_and(|(last, _)| last.is_self_issued);
    let root = if has_root { served.pop() } else { None };
    Ok(Ordered {
        served: served.into_iter().map(|(_, text)| text).collect(),
        root: root.map(|(_, text)| text),
        was_changed: before != after,
    })
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
        Err(error) => findings.push(Finding::Key(whole_text(&error))),
    }
    if leaf.is_ca {
        findings.push(Finding::AuthorityFirst);
    }
    findings.extend(order(&chain));
    for name in names::server_names(domains, &[]) {
        if !leaf.covers(&name) {
            findings.push(Finding::NameMissing(name));
        }
    }
    if !leaf.is_for_servers() {
        findings.push(Finding::Usage);
    }
    findings.extend(dates(leaf, now));
    if leaf.authority_key_id.is_none() {
        findings.push(Finding::NoAuthorityKeyId);
    }
    if leaf.key == KeyKind::Ed25519 {
        findings.push(Finding::Ed25519);
    }
    let roots = roots_pem.and_then(|roots| inspect::parse_chain(roots).ok());
    let authorities = || chain.iter().chain(roots.iter().flatten()).filter(|one| one.is_ca);
    let silent = authorities().find(|one| one.key_usage.is_none());
    findings.extend(silent.map(|one| Finding::NoKeyUsage {
        subject: one.subject.clone(),
    }));
    let forbidden = |one: &&Inspected| one.key_usage.as_ref().is_some_and(|usage| !usage.key_cert_sign);
    findings.extend(authorities().find(forbidden).map(|one| Finding::MustNotSign {
        subject: one.subject.clone(),
    }));
    if chain.len() > 1 && chain.last().is_some_and(|last| last.is_self_issued) {
        findings.push(Finding::RootIncluded);
    }
    // The path is only worth a finding of its own when nothing simpler says it.
    let is_said = |finding: &Finding| {
        matches!(
            finding,
            Finding::AuthorityFirst | Finding::Order { .. } | Finding::Usage
        )
    };
    if !findings.iter().any(is_said) {
        // Within the life of the first certificate, whose dates were looked at.
        let moment = now.max(leaf.not_before).min(leaf.not_after);
        findings.extend(path(chain_pem, &chain, roots_pem, moment));
    }
    Review { chain, findings }
}

fn order(chain: &[Inspected]) -> Option<Finding> {
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

/// Signatures, dates, usage and constraints of the whole path.
fn path(
    chain_pem: &str,
    chain: &[Inspected],
    roots_pem: Option<&str>,
    now: OffsetDateTime,
) -> Option<Finding> {
    let ders = pem::certificates(chain_pem).ok()?;
    let (leaf, above) = ders.split_first()?;
    let checked = match roots_pem {
        Some(roots) => match pem::certificates(roots) {
            Ok(roots) => verify::path(leaf, above, &roots, now),
            Err(error) => Err(verify::Error::RootsPem(error)),
        },
        None => match above.split_last() {
            // Nothing above the server certificate and nothing to compare with:
            // a public CA's intermediate was forgotten, or a private root left out
            // on purpose.
            None => {
                let leaf = chain.first()?;
                let issuer = leaf.issuer.clone();
                return Some(if leaf.has_issuer_url {
                    Finding::Incomplete { issuer }
                } else {
                    Finding::IssuerUnknown { issuer }
                });
            }
            Some((last, between)) => verify::path(leaf, between, std::slice::from_ref(last), now),
        },
    };
    match checked {
        Ok(()) => None,
        Err(verify::Error::UnknownIssuer) => Some(Finding::Incomplete {
            issuer: chain.last()?.issuer.clone(),
        }),
        Err(error) => Some(Finding::Path(whole_text(&error))),
    }
}

fn display_name(certificate: &Inspected) -> String {
    if certificate.subject.is_empty() {
        certificate.names.first().cloned().unwrap_or_default()
    } else {
        certificate.subject.clone()
    }
}
