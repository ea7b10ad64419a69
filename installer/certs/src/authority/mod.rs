//! The private CA: made once, loaded later, signs server certificates and, in
//! a rotation, its successor.

mod cross;
mod error;
mod issue;
mod traditional;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, GeneralSubtree, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, PublicKeyData as _,
};
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

pub use self::error::Error;
use crate::inspect::{self, Inspected};
use crate::profile::{self, AUTHORITY_VALIDITY, NOT_BEFORE_MARGIN, ORGANISATION};
use crate::secret::PrivateKeyPem;
use crate::{distinguished_name, names, pem};

/// How many CA certificates may stand between the root and a server
/// certificate: one, for the cross certificate of a rotation. With 0, which is
/// common, OpenSSL, Go and Node refuse the cross certificate.
const ROOT_PATH_LENGTH: u8 = 1;

/// What is wanted of a new CA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthorityRequest {
    /// Domains it may sign for, each with all that is below.
    pub domains: Vec<String>,
    /// Further permitted names, for Services inside of the cluster; see
    /// [`names::permitted_services`].
    pub permitted: Vec<String>,
    /// How long it lives from now on.
    pub validity: Duration,
}

impl AuthorityRequest {
    /// A request with the default life of 10 years.
    pub fn new(domains: Vec<String>, permitted: Vec<String>) -> Self {
        Self {
            domains,
            permitted,
            validity: AUTHORITY_VALIDITY,
        }
    }

    /// A request for the CA that follows this one: limited to the same names,
    /// and to those that it has to sign for in the future.
    pub fn succeeding(current: &Inspected, names: &[String]) -> Self {
        let mut domains = current.permitted_names.clone().unwrap_or_default();
        for name in names {
            let base = name.strip_prefix("*.").unwrap_or(name);
            if !domains.iter().any(|domain| names::is_within(base, domain)) {
                domains.push(base.to_owned());
            }
        }
        Self::new(domains, Vec::new())
    }
}

/// A CA with its private key.
#[derive(Clone, Debug)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: PrivateKeyPem,
    inspected: Inspected,
}

impl Authority {
    /// Makes a new key and a self-signed certificate that is limited to the
    /// request's names, so that trusting it cannot harm any other site.
    pub fn create(request: &AuthorityRequest, now: OffsetDateTime) -> Result<Self, Error> {
        if request.domains.is_empty() {
            return Err(Error::NoDomains);
        }
        let mut permitted: Vec<String> = Vec::new();
        for name in request.domains.iter().chain(&request.permitted) {
            let name = names::parse(name)?;
            if name.starts_with('*') {
                return Err(Error::WildcardConstraint { name });
            }
            if !permitted.contains(&name) {
                permitted.push(name);
            }
        }
        let now = profile::whole_second(now);
        let not_after = now
            .checked_add(request.validity)
            .filter(|end| profile::is_encodable(*end));
        let (Some(not_after), true) = (not_after, request.validity >= Duration::MINUTE) else {
            return Err(Error::Validity {
                asked: request.validity,
            });
        };

        let key = generate_key().map_err(|source| Error::Sign {
            step: "make the CA key",
            source,
        })?;
        let mut parameters = root_parameters(&permitted, (now - NOT_BEFORE_MARGIN, not_after));
        parameters.distinguished_name = generation_subject(&key, now);
        let certificate = parameters.self_signed(&*key).map_err(|source| Error::Sign {
            step: "sign the CA certificate",
            source,
        })?;
        Self::new(
            certificate.into(),
            PrivateKeyPem::from_pkcs8(key.serialized_der()),
        )
    }

    /// Loads a CA from its certificate and its key (PKCS#8, SEC1 or PKCS#1), and
    /// checks that they can work together. Dates are not looked at: an expired CA still
    /// has to be shown and replaced.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let certificate = own_certificate(certificate_pem)?;
        let key = PrivateKeyPem::parse(key_pem).map_err(Error::KeyPem)?;
        Self::new(certificate, key)
    }

    /// As [`Authority::from_pem`], with a key that was encrypted.
    pub fn from_parts(certificate_pem: &str, key: PrivateKeyPem) -> Result<Self, Error> {
        Self::new(own_certificate(certificate_pem)?, key)
    }

    fn new(certificate: CertificateDer<'static>, key: PrivateKeyPem) -> Result<Self, Error> {
        let inspected = inspect::parse_der(&certificate).map_err(Error::Certificate)?;
        let subject = || inspected.subject.clone();
        if !inspected.is_ca {
            return Err(Error::NotAuthority { subject: subject() });
        }
        if inspected
            .key_usage
            .as_ref()
            .is_some_and(|usage| !usage.key_cert_sign)
        {
            return Err(Error::MustNotSign { subject: subject() });
        }
        let is_writable = parse_x509_certificate(&certificate)
            .is_ok_and(|(_, parsed)| distinguished_name::is_writable(parsed.subject()));
        if !is_writable {
            return Err(Error::Subject { subject: subject() });
        }
        // IA5String has no others (RFC 5280 section 4.2.1.10), and the encoder panics on one.
        let mut limits = inspected.permitted_names.iter().flatten();
        if let Some(name) = limits.find(|name| !name.is_ascii()) {
            return Err(Error::Limit {
                subject: subject(),
                name: name.clone(),
            });
        }
        let key = traditional::as_pkcs8(key, &inspected.key)?;
        if load_key(&key)?.subject_public_key_info() != inspected.public_key_info {
            return Err(Error::KeyMismatch { subject: subject() });
        }
        let certificate_pem = pem::encode_certificate(&certificate);
        Ok(Self {
            certificate,
            certificate_pem,
            key,
            inspected,
        })
    }

    /// The certificate that clients have to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key, in PKCS#8.
    pub fn key_pem(&self) -> &PrivateKeyPem {
        &self.key
    }

    /// What the certificate says.
    pub fn inspected(&self) -> &Inspected {
        &self.inspected
    }
}

/// The one certificate of the text.
fn own_certificate(certificate_pem: &str) -> Result<CertificateDer<'static>, Error> {
    let mut certificates = pem::certificates(certificate_pem).map_err(Error::CertificatePem)?;
    match (certificates.pop(), certificates.len()) {
        (Some(certificate), 0) => Ok(certificate),
        (_, more) => Err(Error::SeveralCertificates { count: more + 1 }),
    }
}

/// The profile of a root. Every field but the subject is set here, none is left
/// to the library's defaults.
fn root_parameters(permitted: &[String], lifetime: (OffsetDateTime, OffsetDateTime)) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    (parameters.not_before, parameters.not_after) = lifetime;
    parameters.serial_number = Some(profile::serial_number());
    parameters.distinguished_name = DistinguishedName::new();
    parameters.subject_alt_names = Vec::new();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(ROOT_PATH_LENGTH));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.extended_key_usages = Vec::new();
    parameters.name_constraints = (!permitted.is_empty()).then(|| NameConstraints {
        permitted_subtrees: permitted.iter().cloned().map(GeneralSubtree::DnsName).collect(),
        excluded_subtrees: Vec::new(),
    });
    parameters.crl_distribution_points = Vec::new();
    parameters.custom_extensions = Vec::new();
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_identifier_method = KeyIdMethod::Sha256;
    parameters
}

/// A subject that tells the generations of a CA apart for people who look into
/// a trust store: date and the start of the key's hash.
fn generation_subject(key: &KeyPair, now: OffsetDateTime) -> DistinguishedName {
    let hash = Sha256::digest(key.subject_public_key_info());
    let date = now.date();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, ORGANISATION);
    subject.push(
        DnType::CommonName,
        format!("{ORGANISATION} CA {date} {}", hex::encode(&hash[..4])),
    );
    subject
}

pub(crate) fn generate_key() -> Result<Zeroizing<KeyPair>, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Zeroizing::new)
}

fn load_key(key: &PrivateKeyPem) -> Result<Zeroizing<KeyPair>, Error> {
    let der = key.to_der().map_err(Error::KeyPem)?;
    KeyPair::try_from(&*der).map(Zeroizing::new).map_err(Error::Key)
}
