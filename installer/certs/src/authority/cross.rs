//! The certificate by which a CA vouches for its successor.

use rcgen::{BasicConstraints, IsCa, Issuer, KeyIdMethod, SubjectPublicKeyInfo};
use time::OffsetDateTime;
use x509_parser::parse_x509_certificate;

use super::{Authority, Error, load_key, root_parameters};
use crate::profile::{self, NOT_BEFORE_MARGIN};
use crate::{distinguished_name, inspect, pem};

/// Below a cross certificate come only server certificates.
const CROSS_PATH_LENGTH: u8 = 0;

impl Authority {
    /// Signs the certificate of the CA that will follow this one: subject and
    /// key are the successor's, the issuer is this CA. A server that sends it
    /// behind its own certificate is accepted by clients that know only this
    /// CA. It ends with the first of the two.
    pub fn cross_certify(&self, successor: &Self, now: OffsetDateTime) -> Result<String, Error> {
        if self.inspected.path_length == Some(0) {
            return Err(Error::NoCross {
                subject: self.inspected.subject.clone(),
            });
        }
        let now = profile::whole_second(now);
        let not_before = (now - NOT_BEFORE_MARGIN).max(self.inspected.not_before);
        let not_after = self.inspected.not_after.min(successor.inspected.not_after);
        if not_after <= now {
            return Err(Error::NoOverlap { now });
        }
        let unusable = || Error::CrossSubject {
            subject: successor.inspected.subject.clone(),
        };
        let (_, parsed) = parse_x509_certificate(&successor.certificate).map_err(|_| unusable())?;
        let subject = distinguished_name::copy(parsed.subject()).ok_or_else(unusable)?;
        let key =
            SubjectPublicKeyInfo::from_der(&successor.inspected.public_key_info).map_err(|_| unusable())?;

        let permitted = successor.inspected.permitted_names.clone().unwrap_or_default();
        let mut parameters = root_parameters(&permitted, (not_before, not_after));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(CROSS_PATH_LENGTH));
        parameters.distinguished_name = subject;
        if let Some(identifier) = inspect::subject_key_id(&parsed) {
            // Leafs of the successor point at this identifier.
            parameters.key_identifier_method = KeyIdMethod::PreSpecified(identifier.to_vec());
        }
        let sign = |source| Error::Sign {
            step: "sign the cross certificate",
            source,
        };
        let signer = load_key(&self.key)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &*signer).map_err(sign)?;
        let cross = parameters.signed_by(&key, &issuer).map_err(sign)?;
        let (_, made) = parse_x509_certificate(cross.der()).map_err(|_| unusable())?;
        if made.subject().as_raw() != parsed.subject().as_raw() {
            return Err(unusable());
        }
        Ok(pem::encode_certificate(cross.der()))
    }
}
