//! Reads what a certificate says.

mod end;
mod signature;

use std::fmt;
use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::extensions::{GeneralName, GeneralSubtree, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::{names, pem};

pub use end::first_to_end;
pub(crate) use signature::is_weak as is_weak_signature;

/// Why a certificate cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not PEM.
    #[error("failed to read certificates")]
    Pem(#[from] pem::Error),
    /// The bytes are not an X.509 certificate.
    #[error("failed to parse the certificate: {reason}")]
    Parse {
        /// What the parser said.
        reason: String,
    },
    /// An extension is damaged or comes twice.
    #[error("failed to parse the {extension} of the certificate: {reason}")]
    Extension {
        /// Name of the extension.
        extension: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// A date lies outside of what can be represented.
    #[error("failed to read the dates of the certificate")]
    Date,
}

/// Kind and size of a public key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// RSA with this many bits.
    Rsa(usize),
    /// Ed25519.
    Ed25519,
    /// Anything else, by its object identifier.
    Other(String),
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("ECDSA P-256"),
            Self::P384 => f.write_str("ECDSA P-384"),
            Self::P521 => f.write_str("ECDSA P-521"),
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other(oid) => write!(f, "key type {oid}"),
        }
    }
}

/// The parts of the key usage extension that matter to servers and CAs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeyUsage {
    /// May sign handshakes.
    pub digital_signature: bool,
    /// May receive encrypted keys (RSA of TLS 1.2 and before).
    pub key_encipherment: bool,
    /// May sign certificates.
    pub key_cert_sign: bool,
    /// May sign revocation lists.
    pub crl_sign: bool,
}

/// What a certificate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inspected {
    /// Subject in RFC 4514 order of the certificate, empty when there is none.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// Subject in DER, by which verifiers compare.
    pub subject_der: Vec<u8>,
    /// Issuer in DER.
    pub issuer_der: Vec<u8>,
    /// Whether issuer and subject are the same, as in a root.
    pub is_self_issued: bool,
    /// DNS names, in their order.
    pub names: Vec<String>,
    /// IP addresses among the names.
    pub addresses: Vec<IpAddr>,
    /// First moment of its life.
    pub not_before: OffsetDateTime,
    /// Last moment of its life.
    pub not_after: OffsetDateTime,
    /// Serial number, lower-case hex.
    pub serial: String,
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint: String,
    /// Subject key identifier, lower-case hex.
    pub subject_key_id: Option<String>,
    /// Authority key identifier, lower-case hex.
    pub authority_key_id: Option<String>,
    /// Serial number of the issuer's certificate in the authority key identifier, lower-case hex.
    pub authority_serial: Option<String>,
    /// Kind of its key.
    pub key: KeyKind,
    /// Algorithm of its signature, by the name that OpenSSL gives it or by its
    /// object identifier.
    pub signature: String,
    /// Its public key as SubjectPublicKeyInfo in DER.
    pub public_key_info: Vec<u8>,
    /// Whether basic constraints say CA:TRUE.
    pub is_ca: bool,
    /// Whether basic constraints are there and critical.
    pub has_critical_basic_constraints: bool,
    /// Whether alternative names are there and critical.
    pub has_critical_names: bool,
    /// How many CA certificates may come below; `None` is no limit.
    pub path_length: Option<u32>,
    /// Key usage, when the extension is there.
    pub key_usage: Option<KeyUsage>,
    /// Extended key usage, when the extension is there: `serverAuth`,
    /// `clientAuth`, `any` or an object identifier.
    pub extended_key_usage: Option<Vec<String>>,
    /// Permitted DNS subtrees; `None` is no limit on DNS names.
    pub permitted_names: Option<Vec<String>>,
    /// Excluded DNS subtrees.
    pub excluded_names: Vec<String>,
    /// Object identifiers of its critical extensions.
    pub critical_extensions: Vec<String>,
    /// After how many certificates below a policy is needed, by its policy constraints.
    pub requires_policy_after: Option<u32>,
    /// Whether it has certificate policies.
    pub has_policies: bool,
    /// Whether its name constraints are on directory names, too.
    pub constrains_directory_names: bool,
    /// Whether it says where its issuer's certificate can be fetched, as public
    /// CAs do and private ones do not.
    pub has_issuer_url: bool,
}

impl KeyUsage {
    /// What is allowed, by the names of RFC 5280 section 4.2.1.3.
    pub fn names(&self) -> Vec<&'static str> {
        let all = [
            (self.digital_signature, "digitalSignature"),
            (self.key_encipherment, "keyEncipherment"),
            (self.key_cert_sign, "keyCertSign"),
            (self.crl_sign, "cRLSign"),
        ];
        let allowed = all.into_iter().filter(|(is_allowed, _)| *is_allowed);
        allowed.map(|(_, name)| name).collect()
    }
}

impl Inspected {
    /// Whether its name constraints let it sign for the DNS name.
    pub fn permits(&self, name: &str) -> bool {
        let within = |subtrees: &[String]| subtrees.iter().any(|subtree| names::is_within(name, subtree));
        self.permitted_names.as_deref().is_none_or(within) && !within(&self.excluded_names)
    }

    /// Whether one of its names covers the name: literally, or by a wildcard
    /// over one label.
    pub fn covers(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| names::covers(pattern, name))
    }

    /// Whether it may authenticate servers: by its extended key usage, or
    /// because it has none.
    pub fn is_for_servers(&self) -> bool {
        self.extended_key_usage
            .as_ref()
            .is_none_or(|usages| usages.iter().any(|usage| usage == "serverAuth" || usage == "any"))
    }

    /// Whether the moment lies in its life; both ends belong to it.
    pub fn is_valid_at(&self, moment: OffsetDateTime) -> bool {
        self.not_before <= moment && moment <= self.not_after
    }

    /// The moment from which it should be replaced: two thirds of its life.
    pub fn renewal_due(&self) -> OffsetDateTime {
        self.not_before + (self.not_after - self.not_before) * 2 / 3
    }

    /// The fingerprint as people compare it: upper case, in pairs.
    pub fn display_fingerprint(&self) -> String {
        let upper = self.fingerprint.to_ascii_uppercase();
        let pairs: Vec<_> = upper.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
        pairs.join(":")
    }
}

/// Reads every certificate of the text.
pub fn parse_chain(pem: &str) -> Result<Vec<Inspected>, Error> {
    pem::certificates(pem)?.iter().map(parse_der).collect()
}

/// Reads one certificate.
pub fn parse_der(der: &CertificateDer<'_>) -> Result<Inspected, Error> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| Error::Parse {
        reason: error.to_string(),
    })?;
    if !rest.is_empty() {
        return Err(Error::Parse {
            reason: format!("{} bytes follow the certificate", rest.len()),
        });
    }
    let damaged = |extension| {
        move |error: x509_parser::error::X509Error| Error::Extension {
            extension,
            reason: error.to_string(),
        }
    };
    let basic = certificate
        .basic_constraints()
        .map_err(damaged("basic constraints"))?;
    let usage = certificate.key_usage().map_err(damaged("key usage"))?;
    let purposes = certificate
        .extended_key_usage()
        .map_err(damaged("extended key usage"))?;
    let alternative = certificate
        .subject_alternative_name()
        .map_err(damaged("subject alternative name"))?;
    let constraints = certificate
        .name_constraints()
        .map_err(damaged("name constraints"))?;

    let general_names = alternative
        .as_ref()
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default();
    let subtrees = |trees: &Option<Vec<GeneralSubtree<'_>>>| -> Option<Vec<String>> {
        let names: Vec<_> = trees
            .iter()
            .flatten()
            .filter_map(|tree| dns_name(&tree.base))
            .map(ToOwned::to_owned)
            .collect();
        (!names.is_empty()).then_some(names)
    };
    let (permitted_names, excluded_names) = match &constraints {
        Some(found) => (
            subtrees(&found.value.permitted_subtrees),
            subtrees(&found.value.excluded_subtrees),
        ),
        None => (None, None),
    };
    let date = |moment: x509_parser::time::ASN1Time| {
        OffsetDateTime::from_unix_timestamp(moment.timestamp()).map_err(|_| Error::Date)
    };

    Ok(Inspected {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        subject_der: certificate.subject().as_raw().to_vec(),
        issuer_der: certificate.issuer().as_raw().to_vec(),
        is_self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        names: general_names
            .iter()
            .filter_map(dns_name)
            .map(ToOwned::to_owned)
            .collect(),
        addresses: general_names.iter().filter_map(address).collect(),
        not_before: date(certificate.validity().not_before)?,
        not_after: date(certificate.validity().not_after)?,
        serial: hex::encode(certificate.raw_serial()),
        fingerprint: hex::encode(Sha256::digest(der)),
        subject_key_id: subject_key_id(&certificate).map(hex::encode),
        authority_key_id: authority_key_id(&certificate).map(hex::encode),
        authority_serial: authority_serial(&certificate).map(hex::encode),
        key: key_kind(certificate.public_key()),
        signature: signature::name(&certificate.signature_algorithm.algorithm.to_id_string()),
        public_key_info: certificate.public_key().raw.to_vec(),
        is_ca: basic.as_ref().is_some_and(|extension| extension.value.ca),
        has_critical_basic_constraints: basic.as_ref().is_some_and(|extension| extension.critical),
        has_critical_names: alternative.as_ref().is_some_and(|extension| extension.critical),
        path_length: basic.and_then(|extension| extension.value.path_len_constraint),
        key_usage: usage.map(|extension| KeyUsage {
            digital_signature: extension.value.digital_signature(),
            key_encipherment: extension.value.key_encipherment(),
            key_cert_sign: extension.value.key_cert_sign(),
            crl_sign: extension.value.crl_sign(),
        }),
        extended_key_usage: purposes.map(|extension| {
            let usage = extension.value;
            let known = [
                (usage.any, "any"),
                (usage.server_auth, "serverAuth"),
                (usage.client_auth, "clientAuth"),
            ];
            let other = [
                (usage.code_signing, "codeSigning"),
                (usage.email_protection, "emailProtection"),
                (usage.time_stamping, "timeStamping"),
                (usage.ocsp_signing, "OCSPSigning"),
            ];
            let named = known
                .into_iter()
                .chain(other)
                .filter(|(set, _)| *set)
                .map(|(_, name)| name.to_owned());
            named.chain(usage.other.iter().map(ToString::to_string)).collect()
        }),
        critical_extensions: certificate
            .iter_extensions()
            .filter(|extension| extension.critical)
            .map(|extension| extension.oid.to_id_string())
            .collect(),
        requires_policy_after: certificate.iter_extensions().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::PolicyConstraints(found) => found.require_explicit_policy,
                _ => None,
            }
        }),
        has_policies: certificate.iter_extensions().any(|extension| {
            matches!(
                extension.parsed_extension(),
                ParsedExtension::CertificatePolicies(_)
            )
        }),
        constrains_directory_names: constraints.as_ref().is_some_and(|found| {
            let trees = [&found.value.permitted_subtrees, &found.value.excluded_subtrees];
            let mut trees = trees.into_iter().flatten().flatten();
            trees.any(|tree| matches!(tree.base, GeneralName::DirectoryName(_)))
        }),
        permitted_names,
        excluded_names: excluded_names.unwrap_or_default(),
        has_issuer_url: certificate
            .iter_extensions()
            .any(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityInfoAccess(access) => access
                    .iter()
                    .any(|description| description.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS),
                _ => false,
            }),
    })
}

/// The subject key identifier's octets.
pub(crate) fn subject_key_id<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0),
            _ => None,
        })
}

fn authority_key_id<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                identifier.key_identifier.as_ref().map(|id| id.0)
            }
            _ => None,
        })
}

fn authority_serial<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier.authority_cert_serial,
            _ => None,
        })
}

fn dns_name<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::DNSName(name) => Some(name),
        _ => None,
    }
}

fn address(name: &GeneralName<'_>) -> Option<IpAddr> {
    let GeneralName::IPAddress(octets) = name else {
        return None;
    };
    let four = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from))
        .ok()
}

/// Kind of a public key in SubjectPublicKeyInfo form.
pub(crate) fn kind_of_key(public_key_info: &[u8]) -> Option<KeyKind> {
    let (_, key) = SubjectPublicKeyInfo::from_der(public_key_info).ok()?;
    Some(key_kind(&key))
}

fn key_kind(key: &SubjectPublicKeyInfo<'_>) -> KeyKind {
    let algorithm = key.algorithm.algorithm.to_id_string();
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.as_oid().ok());
    match (algorithm.as_str(), curve.map(|oid| oid.to_id_string()).as_deref()) {
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => KeyKind::P256,
        ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => KeyKind::P384,
        ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => KeyKind::P521,
        ("1.3.101.112", _) => KeyKind::Ed25519,
        ("1.2.840.113549.1.1.1", _) => match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => KeyKind::Rsa(rsa.key_size()),
            _ => KeyKind::Other(algorithm),
        },
        (_, Some(curve)) => KeyKind::Other(format!("{algorithm} {curve}")),
        (_, None) => KeyKind::Other(algorithm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_refused() {
        assert!(matches!(
            parse_chain("nothing"),
            Err(Error::Pem(pem::Error::NoCertificate(_)))
        ));
        let garbage = pem::encode_certificate(&[1, 2, 3]);
        assert!(matches!(parse_chain(&garbage), Err(Error::Parse { .. })));
    }
}
