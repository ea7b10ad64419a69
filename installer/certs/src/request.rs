//! A signing request for a CA that somebody else runs, with the key that the
//! certificate will have.

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, SanType};
use time::Duration;

use crate::authority::generate_key;
use crate::leaf::{self, Error, LeafRequest};
use crate::secret::PrivateKeyPem;

/// A request (PKCS#10, RFC 2986) and its new P-256 key.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    der: Vec<u8>,
    key: PrivateKeyPem,
}

impl SigningRequest {
    /// Makes a new key and asks for the names. Life and usage are the CA's to
    /// choose, so the request says nothing of them.
    pub fn create(names: &[String]) -> Result<Self, Error> {
        let names = leaf::accepted_names(&LeafRequest {
            names: names.to_vec(),
            validity: Duration::ZERO,
        })?;
        let sign = |step| move |source| Error::Sign { step, source };
        let key = generate_key().map_err(sign("make the server key"))?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.subject_alt_names = names
            .iter()
            .map(|name| Ia5String::try_from(name.as_str()).map(SanType::DnsName))
            .collect::<Result<_, _>>()
            .map_err(sign("write the names"))?;
        let request = parameters
            .serialize_request(&*key)
            .map_err(sign("sign the request"))?;
        Ok(Self {
            der: request.der().to_vec(),
            key: PrivateKeyPem::from_pkcs8(key.serialized_der()),
        })
    }

    /// The request in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key of the certificate to come.
    pub fn key_pem(&self) -> &PrivateKeyPem {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

    use super::*;

    #[test]
    fn the_request_is_signed_and_has_the_names_only() {
        let names = ["a.example.com".to_owned(), "*.a.example.com".to_owned()];
        let request = SigningRequest::create(&names).unwrap();
        let (_, parsed) = X509CertificationRequest::from_der(request.der()).unwrap();
        let information = &parsed.certification_request_info;
        assert_eq!(information.subject.iter().count(), 0);
        let extensions: Vec<_> = parsed.requested_extensions().unwrap().collect();
        assert_eq!(extensions.len(), 1, "{extensions:?}");
        assert!(format!("{extensions:?}").contains("*.a.example.com"));
        assert!(matches!(SigningRequest::create(&[]), Err(Error::NoNames)));
    }
}
