//! Whether existing certificates stay or have to be made again, and why.
//!
//! Pure: what exists, what is wanted and the time go in, a decision comes out.

use std::collections::BTreeSet;
use std::fmt;

use time::OffsetDateTime;

use crate::inspect::{self, Inspected};
use crate::{verify, whole_text};

/// What was found, for example in a Secret.
#[derive(Clone, Copy, Default)]
pub struct Existing<'a> {
    /// Certificates in PEM.
    pub chain_pem: Option<&'a str>,
    /// Private key in PEM.
    pub key_pem: Option<&'a str>,
}

impl fmt::Debug for Existing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key_pem.map(|_| "..");
        f.debug_struct("Existing")
            .field("chain_pem", &self.chain_pem)
            .field("key_pem", &key)
            .finish()
    }
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// What exists is good.
    Keep,
    /// Make a new one.
    Issue(Reason),
}

/// Why a new certificate is needed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// Certificate or key are not there.
    Missing,
    /// They are there and cannot be read.
    Unreadable {
        /// What is wrong.
        what: String,
    },
    /// The certificate's life is over.
    Expired {
        /// When it ended.
        at: OffsetDateTime,
    },
    /// The certificate's life has not begun: made by a clock that was ahead.
    NotYetValid {
        /// When it begins.
        from: OffsetDateTime,
    },
    /// Two thirds of its life are over. For a CA this calls for a rotation with
    /// overlap, never for a plain replacement.
    RenewalDue {
        /// When that was.
        since: OffsetDateTime,
    },
    /// It has other names than wanted.
    NamesDiffer {
        /// Wanted and not there.
        missing: Vec<String>,
        /// There and not wanted.
        extra: Vec<String>,
    },
    /// The current CA has not signed it.
    OtherAuthority,
    /// Its chain does not pass for a server.
    Unacceptable {
        /// What is wrong.
        what: String,
    },
    /// Key and certificate do not belong together.
    KeyMismatch,
    /// It is not a CA certificate.
    NotAuthority,
    /// The CA's constraints exclude names that it has to sign for.
    NotPermitted {
        /// The names.
        names: Vec<String>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it does not exist"),
            Self::Unreadable { what } => write!(f, "it cannot be read: {what}"),
            Self::Expired { at } => write!(f, "it expired at {at}"),
            Self::NotYetValid { from } => write!(f, "it is not valid before {from}"),
            Self::RenewalDue { since } => write!(f, "two thirds of its life were over at {since}"),
            Self::NamesDiffer { missing, extra } => {
                f.write_str("its names differ:")?;
                missing.iter().try_for_each(|name| write!(f, " +{name}"))?;
                extra.iter().try_for_each(|name| write!(f, " -{name}"))
            }
            Self::OtherAuthority => f.write_str("another CA has signed it"),
            Self::Unacceptable { what } => write!(f, "clients would refuse it: {what}"),
            Self::KeyMismatch => f.write_str("its private key belongs to another certificate"),
            Self::NotAuthority => f.write_str("it is not a CA certificate"),
            Self::NotPermitted { names } => write!(f, "the CA does not permit {}", names.join(", ")),
        }
    }
}

/// Judges a server certificate: `authority_pem` is the current CA, `names` come
/// from [`names::server_names`](crate::names::server_names).
pub fn leaf(existing: Existing<'_>, authority_pem: &str, names: &[String], now: OffsetDateTime) -> Decision {
    match leaf_reason(existing, authority_pem, names, now) {
        None => Decision::Keep,
        Some(reason) => Decision::Issue(reason),
    }
}

fn leaf_reason(
    existing: Existing<'_>,
    authority_pem: &str,
    names: &[String],
    now: OffsetDateTime,
) -> Option<Reason> {
    let (found, chain_pem) = match read(existing) {
        Ok(found) => found,
        Err(reason) => return Some(reason),
    };
    if let Some(reason) = out_of_date(&found, now) {
        return Some(reason);
    }
    let has: BTreeSet<String> = found.names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let wanted: BTreeSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    if has != wanted {
        return Some(Reason::NamesDiffer {
            missing: wanted.difference(&has).cloned().collect(),
            extra: has.difference(&wanted).cloned().collect(),
        });
    }
    for name in names {
        match verify::chain(chain_pem, authority_pem, name, now) {
            Ok(()) => {}
            Err(verify::Error::UnknownIssuer | verify::Error::BadSignature) => {
                return Some(Reason::OtherAuthority);
            }
            Err(error) => {
                return Some(Reason::Unacceptable {
                    what: error.to_string(),
                });
            }
        }
    }
    renewal_due(&found, now)
}

/// Judges a CA certificate: `permitted` are the names it has to sign for.
pub fn authority(existing: Existing<'_>, permitted: &[String], now: OffsetDateTime) -> Decision {
    match authority_reason(existing, permitted, now) {
        None => Decision::Keep,
        Some(reason) => Decision::Issue(reason),
    }
}

fn authority_reason(existing: Existing<'_>, permitted: &[String], now: OffsetDateTime) -> Option<Reason> {
    let (found, _) = match read(existing) {
        Ok(found) => found,
        Err(reason) => return Some(reason),
    };
    if !found.is_ca || found.key_usage.is_some_and(|usage| !usage.key_cert_sign) {
        return Some(Reason::NotAuthority);
    }
    if let Some(reason) = out_of_date(&found, now) {
        return Some(reason);
    }
    let excluded: Vec<_> = permitted
        .iter()
        .filter(|name| !found.permits(name))
        .cloned()
        .collect();
    if !excluded.is_empty() {
        return Some(Reason::NotPermitted { names: excluded });
    }
    renewal_due(&found, now)
}

/// The first certificate of what exists, with its key checked.
fn read(existing: Existing<'_>) -> Result<(Inspected, &str), Reason> {
    let (Some(chain_pem), Some(key_pem)) = (existing.chain_pem, existing.key_pem) else {
        return Err(Reason::Missing);
    };
    let unreadable = |error: &dyn std::error::Error| Reason::Unreadable {
        what: whole_text(error),
    };
    let chain = inspect::parse_chain(chain_pem).map_err(|error| unreadable(&error))?;
    match verify::key_matches(chain_pem, key_pem) {
        Ok(()) => {}
        Err(verify::Error::KeyMismatch) => return Err(Reason::KeyMismatch),
        Err(error) => return Err(unreadable(&error)),
    }
    chain
        .into_iter()
        .next()
        .map(|first| (first, chain_pem))
        .ok_or(Reason::Missing)
}

fn out_of_date(found: &Inspected, now: OffsetDateTime) -> Option<Reason> {
    if now > found.not_after {
        Some(Reason::Expired { at: found.not_after })
    } else if now < found.not_before {
        Some(Reason::NotYetValid {
            from: found.not_before,
        })
    } else {
        None
    }
}

fn renewal_due(found: &Inspected, now: OffsetDateTime) -> Option<Reason> {
    let since = found.renewal_due();
    (now >= since).then_some(Reason::RenewalDue { since })
}
