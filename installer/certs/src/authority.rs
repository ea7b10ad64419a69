//! The private CA: made once, loaded later, signs server certificates and, in
//! a rotation, its successor.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, GeneralSubtree, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, PublicKeyData as _,
    SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use crate::inspect::{self, Inspected};
use crate::key::ServerKey;
use crate::leaf::{self, Leaf, LeafRequest};
use crate::profile::{self, AUTHORITY_VALIDITY, NOT_BEFORE_MARGIN, ORGANISATION};
use crate::secret::PrivateKeyPem;
use crate::{distinguished_name, names, pem, verify};

/// How many CA certificates may stand between the root and a server
/// certificate: one, for the cross certificate of a rotation. With 0, which is
/// common, OpenSSL, Go and Node refuse the cross certificate.
const ROOT_PATH_LENGTH: u8 = 1;
/// Below a cross certificate come only server certificates.
const CROSS_PATH_LENGTH: u8 = 0;

/// Why there is no CA to work with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request has no domain.
    #[error("a CA needs at least one domain to be limited to")]
    NoDomains,
    /// A domain or permitted name cannot be used.
    #[error("failed to accept a name that the CA is limited to")]
    Name(#[from] names::Error),
    /// A constraint covers what is below it anyway.
    #[error("the CA is limited to domains and what is below them: write {name:?} without `*.`")]
    WildcardConstraint {
        /// The name.
        name: String,
    },
    /// The life asked for is shorter than a minute or ends after the year 9999.
    #[error("a CA cannot live for {asked}")]
    Validity {
        /// The life asked for.
        asked: Duration,
    },
    /// The key or the certificate could not be made.
    #[error("failed to {step}")]
    Sign {
        /// What was being made.
        step: &'static str,
        /// What the library said.
        #[source]
        source: rcgen::Error,
    },
    /// The CA's certificate is not the PEM it should be.
    #[error("failed to read the CA certificate")]
    CertificatePem(#[source] pem::Error),
    /// The CA's certificate cannot be parsed.
    #[error("failed to parse the CA certificate")]
    Certificate(#[source] inspect::Error),
    /// More than one certificate where the CA's own is needed.
    #[error("found {count} certificates where only the CA's own is needed")]
    SeveralCertificates {
        /// How many there are.
        count: usize,
    },
    /// The CA's key is not the PEM it should be.
    #[error("failed to read the CA private key")]
    KeyPem(#[source] pem::Error),
    /// The key is in a form that is not read here.
    #[error("the CA private key is {form}; convert it with `openssl pkcs8 -topk8 -nodes -in KEY -out PKCS8`")]
    KeyForm {
        /// SEC1 or PKCS#1.
        form: &'static str,
    },
    /// The key is of a kind that cannot sign here.
    #[error(
        "failed to load the CA private key (P-256, P-384, Ed25519 and RSA of at least 2048 bits can sign)"
    )]
    Key(#[source] rcgen::Error),
    /// The certificate has no CA flag.
    #[error("{subject:?} is not a CA certificate: its basic constraints do not say CA:TRUE")]
    NotAuthority {
        /// Subject of the certificate.
        subject: String,
    },
    /// The certificate's key usage forbids signing.
    #[error("{subject:?} must not sign certificates: its key usage lacks keyCertSign")]
    MustNotSign {
        /// Subject of the certificate.
        subject: String,
    },
    /// The certificates that it would sign could not name it as their issuer.
    #[error(
        "{subject:?} cannot be written as an issuer: its subject repeats an attribute, has several in one level, or \
         one of an invalid type; make a CA below it whose subject names each attribute once"
    )]
    Subject {
        /// Subject of the certificate.
        subject: String,
    },
    /// Key and certificate do not belong together.
    #[error("the CA private key does not belong to the certificate {subject:?}")]
    KeyMismatch {
        /// Subject of the certificate.
        subject: String,
    },
    /// The CA allows no CA below itself.
    #[error(
        "{subject:?} allows no CA certificate below itself (path length 0), so it cannot sign its successor"
    )]
    NoCross {
        /// Subject of the CA that would sign.
        subject: String,
    },
    /// One of the two CAs is expired, or the former ends before it begins.
    #[error("the two CAs have no time in common from {now} on")]
    NoOverlap {
        /// The moment of signing.
        now: OffsetDateTime,
    },
    /// The successor's subject or key cannot be written again byte by byte.
    #[error("failed to copy the subject of {subject:?} into a cross certificate")]
    CrossSubject {
        /// Subject of the successor.
        subject: String,
    },
}

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

    /// Loads a CA from its certificate and its key (PKCS#8), and checks that
    /// they can work together. Dates are not looked at: an expired CA still
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

    /// The private key.
    pub fn key_pem(&self) -> &PrivateKeyPem {
        &self.key
    }

    /// What the certificate says.
    pub fn inspected(&self) -> &Inspected {
        &self.inspected
    }

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
        format!("{ORGANISATION} CA {date} {}", inspect::hex(&hash[..4])),
    );
    subject
}

pub(crate) fn generate_key() -> Result<Zeroizing<KeyPair>, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Zeroizing::new)
}

fn load_key(key: &PrivateKeyPem) -> Result<Zeroizing<KeyPair>, Error> {
    let der = key.to_der().map_err(Error::KeyPem)?;
    match &*der {
        PrivateKeyDer::Sec1(_) => Err(Error::KeyForm { form: "in SEC1 form" }),
        PrivateKeyDer::Pkcs1(_) => Err(Error::KeyForm {
            form: "in PKCS#1 form",
        }),
        pkcs8 => KeyPair::try_from(pkcs8).map(Zeroizing::new).map_err(Error::Key),
    }
}
