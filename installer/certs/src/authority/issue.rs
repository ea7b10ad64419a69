//! What a CA signs: server certificates.

use rcgen::{Issuer, KeyPair};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::Authority;
use crate::key::ServerKey;
use crate::leaf::{self, Leaf, LeafRequest};
use crate::{pem, verify};

impl Authority {
    /// Issues a server certificate with a new P-256 key.
    pub fn issue(&self, request: &LeafRequest, now: OffsetDateTime) -> Result<Leaf, leaf::Error> {
        self.issue_for(&ServerKey::p256()?, request, now)
    }

    /// Issues a server certificate for the key: empty subject, the names
    /// critical, for server authentication only.
    pub fn issue_for(
        &self,
        key: &ServerKey,
        request: &LeafRequest,
        now: OffsetDateTime,
    ) -> Result<Leaf, leaf::Error> {
        let names = leaf::accepted_names(request)?;
        self.check_permitted(&names)?;
        let ca_life = (self.inspected.not_before, self.inspected.not_after);
        let (not_before, not_after) = leaf::lifetime(request.validity, ca_life, now)?;

        let sign = |step| move |source| leaf::Error::Sign { step, source };
        let signer = self
            .key
            .to_der()
            .map_err(|_| sign("load the CA key")(rcgen::Error::CouldNotParseKeyPair))?;
        let signer = KeyPair::try_from(&*signer)
            .map(Zeroizing::new)
            .map_err(sign("load the CA key"))?;
        let issuer =
            Issuer::from_ca_cert_der(&self.certificate, &*signer).map_err(sign("load the CA certificate"))?;
        let certificate = leaf::parameters(&names, (not_before, not_after), key.kind())
            .and_then(|parameters| parameters.signed_by(&key.public()?, &issuer))
            .map_err(sign("sign the server certificate"))?;

        let leaf = Leaf {
            chain_pem: pem::encode_certificate(certificate.der()),
            key: key.pem().clone(),
            not_before,
            not_after,
        };
        // A foreign CA may have a subject or constraints that make its leafs
        // useless: better to learn it here than from every client.
        for name in &names {
            verify::chain(&leaf.chain_pem, &self.certificate_pem, name, now)?;
        }
        Ok(leaf)
    }

    fn check_permitted(&self, names: &[String]) -> Result<(), leaf::Error> {
        match names.iter().find(|name| !self.inspected.permits(name)) {
            None => Ok(()),
            Some(name) => Err(leaf::Error::NotPermitted {
                name: name.clone(),
                permitted: self.inspected.permitted_names.clone().unwrap_or_default(),
            }),
        }
    }
}
