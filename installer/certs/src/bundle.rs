//! Trust bundles: the CA certificates that clients are to trust, in one text.

use time::OffsetDateTime;

use crate::inspect::{self, Inspected};
use crate::pem;

/// Why a bundle cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part is not PEM.
    #[error("failed to read part {part} of the bundle")]
    Pem {
        /// Which part, counted from 1.
        part: usize,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// A certificate of a part cannot be parsed.
    #[error("failed to parse a certificate in part {part} of the bundle")]
    Parse {
        /// Which part, counted from 1.
        part: usize,
        /// What is wrong with it.
        #[source]
        source: inspect::Error,
    },
    /// A server certificate does not belong into a bundle.
    #[error("{subject:?} in part {part} of the bundle is not a CA certificate")]
    NotAuthority {
        /// Which part, counted from 1.
        part: usize,
        /// Its subject, or its first name.
        subject: String,
    },
}

/// Puts the parts together: first come, first served; each certificate once;
/// expired ones left out; only the CERTIFICATE sections, in one form. Empty
/// parts are allowed, so a bundle that does not exist yet can be merged into.
pub fn merge(parts: &[&str], now: OffsetDateTime) -> Result<String, Error> {
    Ok(members(parts, now)?.into_iter().map(|(_, pem)| pem).collect())
}

/// The certificates that [`merge`] keeps, with what they say.
pub fn members(parts: &[&str], now: OffsetDateTime) -> Result<Vec<(Inspected, String)>, Error> {
    let mut members: Vec<(Inspected, String)> = Vec::new();
    for (index, text) in parts
        .iter()
        .enumerate()
        .filter(|(_, text)| !text.trim().is_empty())
    {
        let part = index + 1;
        for der in pem::certificates(text).map_err(|source| Error::Pem { part, source })? {
            let found = inspect::parse_der(&der).map_err(|source| Error::Parse { part, source })?;
            if !found.is_ca {
                let first_name = found.names.first().cloned().unwrap_or_default();
                let subject = if found.subject.is_empty() {
                    first_name
                } else {
                    found.subject
                };
                return Err(Error::NotAuthority { part, subject });
            }
            let known = members
                .iter()
                .any(|(member, _)| member.fingerprint == found.fingerprint);
            if !known && now <= found.not_after {
                members.push((found, pem::encode_certificate(&der)));
            }
        }
    }
    Ok(members)
}

/// The bundle without the certificate of this fingerprint (lower-case hex
/// SHA-256): the last step of a rotation.
pub fn without(bundle: &str, fingerprint: &str, now: OffsetDateTime) -> Result<String, Error> {
    let kept = members(&[bundle], now)?
        .into_iter()
        .filter(|(member, _)| member.fingerprint != fingerprint);
    Ok(kept.map(|(_, pem)| pem).collect())
}
