//! What some verifiers do not implement, so that they refuse a chain which others accept.

use std::fmt;

use super::path::Line;
use crate::inspect::{Inspected, KeyKind};
use crate::verify;

/// Something that the chain needs and that some verifiers cannot do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Limit {
    /// Critical policies, which rustls does not process.
    Policies {
        /// Whether they do not hold, which Go finds out and OpenSSL does not look at.
        is_violated: bool,
    },
    /// Name constraints on directory names.
    DirectoryNames,
    /// More intermediates than rustls looks at.
    Intermediates,
    /// The issuer's name is encoded in another way than in the issuer's own certificate.
    NameEncoding {
        /// The issuer.
        issuer: String,
    },
    /// A signature that ring does not verify, and neither does this program.
    Signature,
    /// A key of the server's whose handshakes ring does not verify.
    ServerKey,
}

/// The critical extensions that OpenSSL and Go process: key usage, alternative names, basic and name
/// constraints, policies with their mappings and constraints, extended key usage.
const PROCESSED: [&str; 9] = [
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.36",
    "2.5.29.37",
    "2.5.29.54",
];

/// By the name of OpenSSL, and by its object identifier.
const ECDSA_SHA512: [&str; 2] = ["ecdsa-with-SHA512", "1.2.840.10045.4.3.4"];

/// Whether a CA requires a policy of certificates below it that have none.
fn is_policy_missing(chain: &[Inspected]) -> bool {
    chain.iter().enumerate().any(|(below, one)| {
        let after = one
            .requires_policy_after
            .and_then(|after| usize::try_from(after).ok());
        after.is_some_and(|after| after <= below) && chain[..=below].iter().any(|one| !one.has_policies)
    })
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policies { is_violated } => write!(
                f,
                "a certificate of the chain has critical policies or policy constraints; {} refuse it",
                if *is_violated {
                    "rustls and Go"
                } else {
                    "clients on rustls"
                }
            ),
            Self::DirectoryNames => f.write_str(
                "a CA of the chain has name constraints on directory names; rustls and Go refuse it",
            ),
            Self::Intermediates => {
                f.write_str("the chain has more than six intermediates; rustls refuses it")
            }
            Self::NameEncoding { issuer } => write!(
                f,
                "the name {issuer:?} is encoded in another string type as issuer than in the CA's own \
                 certificate; rustls and Go refuse it; have the certificate issued again"
            ),
            Self::ServerKey => f.write_str(
                "its key is ECDSA P-521; rustls with ring refuses it, and the manager cannot load it",
            ),
            Self::Signature => f.write_str(
                "a signature of the chain is ECDSA with P-521 or SHA-512, which this program cannot verify; \
                 rustls with ring refuses it",
            ),
        }
    }
}

impl Limit {
    /// The limit behind the verifier's error, if it is one.
    pub(super) fn behind(error: &verify::Error, chain: &[Inspected], line: &Line) -> Option<Self> {
        let all = || chain.iter().chain(&line.root);
        match error {
            verify::Error::Refused(webpki::Error::UnsupportedCriticalExtension) => {
                let mut critical = chain.iter().flat_map(|one| &one.critical_extensions);
                critical
                    .all(|one| PROCESSED.contains(&one.as_str()))
                    .then(|| Self::Policies {
                        is_violated: is_policy_missing(chain),
                    })
            }
            verify::Error::Refused(webpki::Error::MaximumPathDepthExceeded) => Some(Self::Intermediates),
            verify::Error::NameConstraint => {
                let is_permitted = |name: &String| all().all(|one| one.permits(name));
                let names = &chain.first()?.names;
                (all().any(|one| one.constrains_directory_names) && names.iter().all(is_permitted))
                    .then_some(Self::DirectoryNames)
            }
            verify::Error::UnknownIssuer => {
                line.root.as_ref()?;
                let is_other = |below: &&Inspected| {
                    let mut named = all().filter(|above| above.subject == below.issuer).peekable();
                    named.peek().is_some() && named.all(|above| above.subject_der != below.issuer_der)
                };
                let below = chain.iter().find(is_other)?;
                Some(Self::NameEncoding {
                    issuer: below.issuer.clone(),
                })
            }
            verify::Error::Algorithm(_) => all()
                .any(|one| one.key == KeyKind::P521 || ECDSA_SHA512.contains(&one.signature.as_str()))
                .then_some(Self::Signature),
            _ => None,
        }
    }
}
