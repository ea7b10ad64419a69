//! The served certificate: who has signed it, and that every group of clients that
//! has to accept its successor does.

use time::OffsetDateTime;

use super::{Error, Material};
use crate::{
    authority::{self, Authority},
    inspect::{self, Inspected},
    leaf::Leaf,
    pem,
    rotation::Signer,
    verify,
};

impl Material {
    pub(super) fn leaf(&self) -> Option<Inspected> {
        inspect::parse_chain(&self.served).ok()?.into_iter().next()
    }

    /// Whether this CA has signed the served certificate itself, as opposed to
    /// a cross certificate behind it.
    pub(super) fn serves_directly(&self, authority: &Authority) -> bool {
        let alone = pem::certificates(&self.served)
            .unwrap_or_default()
            .first()
            .map(|der| pem::encode_certificate(der));
        let (Some(alone), Some(leaf)) = (alone, self.leaf()) else {
            return false;
        };
        // Its life may be over by now: asked is who signed it.
        let moment = leaf.not_before.max(authority.inspected().not_before);
        leaf.names
            .first()
            .is_some_and(|name| verify::chain(&alone, authority.certificate_pem(), name, moment).is_ok())
    }

    /// Clients can only know the next CA when it is published.
    pub(super) fn check_published(&self) -> Result<(), Error> {
        let next = &self.next()?.0.inspected().fingerprint;
        let members = inspect::parse_chain(&self.bundle).unwrap_or_default();
        if members.iter().any(|member| member.fingerprint == *next) {
            Ok(())
        } else {
            Err(Error::NotPublished)
        }
    }

    /// Issues, and verifies the result as every group of clients will that has
    /// to accept it.
    pub(super) fn issue(&self, signer: Signer, now: OffsetDateTime) -> Result<Leaf, Error> {
        let bundle = if self.bundle.trim().is_empty() {
            // Without a bundle clients have the CA's certificate itself.
            self.current.certificate_pem()
        } else {
            &self.bundle
        };
        let key = self.key.make()?;
        let with_bundle = ("clients with the trust bundle", bundle);
        let with_former = ("clients with the former CA", self.current.certificate_pem());
        let (leaf, groups) = match signer {
            Signer::Former => (
                self.current.issue_for(&key, &self.request, now)?,
                vec![with_former, with_bundle],
            ),
            Signer::Next | Signer::NextBehindCross => {
                let (next, _) = self.next()?;
                let leaf = next.issue_for(&key, &self.request, now)?;
                let with_next = ("clients with the next CA", next.certificate_pem());
                let cross = match signer {
                    Signer::NextBehindCross => cross(&self.current, next, now)?,
                    Signer::Former | Signer::Next => None,
                };
                match cross {
                    Some(cross) => (leaf.with_cross(&cross), vec![with_former, with_next, with_bundle]),
                    None => (leaf, vec![with_next, with_bundle]),
                }
            }
        };
        for name in &self.request.names {
            for (clients, trusted) in &groups {
                verify::chain(leaf.chain_pem(), trusted, name, now).map_err(|source| Error::Untrusted {
                    clients,
                    name: name.clone(),
                    source,
                })?;
            }
        }
        Ok(leaf)
    }
}

/// The cross certificate; `None` when it has no use: an expired CA has no
/// clients left to carry over, and a CA needs none by itself.
pub(super) fn cross(
    former: &Authority,
    next: &Authority,
    now: OffsetDateTime,
) -> Result<Option<String>, authority::Error> {
    if former.inspected().fingerprint == next.inspected().fingerprint {
        return Ok(None);
    }
    match former.cross_certify(next, now) {
        Ok(cross) => Ok(Some(cross)),
        Err(authority::Error::NoOverlap { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
