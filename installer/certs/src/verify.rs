//! Asks webpki, the verifier of rustls clients (the E2B SDK among them),
//! whether a chain would be accepted, with the stricter habits of other
//! clients added where webpki is lenient.

use rustls_pki_types::{CertificateDer, DnsName, ServerName, TrustAnchor, UnixTime};
use time::OffsetDateTime;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::inspect::{self, Inspected};
use crate::pem;

/// Why a chain or a key is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The chain is not the PEM it should be.
    #[error("failed to read the chain")]
    ChainPem(#[source] pem::Error),
    /// The trusted roots are not the PEM they should be.
    #[error("failed to read the trusted roots")]
    RootsPem(#[source] pem::Error),
    /// A certificate cannot be parsed.
    #[error("failed to parse a certificate")]
    Parse(#[from] inspect::Error),
    /// The name to check is not a DNS name.
    #[error("{name:?} is not a DNS name")]
    Name {
        /// The name.
        name: String,
    },
    /// No trusted root has signed the chain, or a link is missing.
    #[error("no trusted root has signed the chain (unknown issuer)")]
    UnknownIssuer,
    /// A CA of the right name but another key: usually one of another
    /// generation.
    #[error("a signature does not fit the key of the CA of that name; the CA may be of another generation")]
    BadSignature,
    /// A signature is of a kind that TLS clients do not verify.
    #[error("a signature is of a kind that clients do not verify")]
    Algorithm(#[source] webpki::Error),
    /// The extended key usage of the path excludes server authentication.
    #[error("the extended key usage does not allow server authentication")]
    Purpose(#[source] webpki::Error),
    /// A certificate of the path, the root included, is past its end.
    #[error("a certificate of the path expired at {not_after}")]
    Expired {
        /// When it ended.
        not_after: String,
    },
    /// A certificate of the path, the root included, has not begun.
    #[error("a certificate of the path is not valid before {not_before}")]
    NotYetValid {
        /// When it begins.
        not_before: String,
    },
    /// The names of the certificate do not cover the name.
    #[error("the certificate is not valid for {name:?}; its names are {names:?}")]
    NameMismatch {
        /// The name asked for.
        name: String,
        /// The names it has.
        names: Vec<String>,
    },
    /// The CA is not permitted to sign for a name of the certificate.
    #[error("the name constraints of the CA exclude a name of the certificate")]
    NameConstraint,
    /// A CA certificate stands where a server certificate belongs.
    #[error("the first certificate is a CA certificate; a server certificate must come first")]
    AuthorityAsServer,
    /// Anything else that webpki refuses.
    #[error("the chain is not acceptable")]
    Refused(#[source] webpki::Error),
    /// The private key is not the PEM it should be.
    #[error("failed to read the private key")]
    KeyPem(#[source] pem::Error),
    /// The private key is of a kind that servers here cannot use.
    #[error("failed to load the private key (RSA, P-256, P-384 and Ed25519 are supported)")]
    KeyKind(#[source] rustls::Error),
    /// Key and certificate do not belong together.
    #[error("the private key does not belong to the first certificate of the chain")]
    KeyMismatch,
}

/// Verifies the chain as a TLS client does that trusts the roots and connects
/// to the name. A wildcard name stands for any label in its place.
///
/// Two differences to plain webpki: an expired root is an error, as in OpenSSL,
/// Go and Node, and a name outside of the certificate is reported with the
/// names that are there.
pub fn chain(chain_pem: &str, roots_pem: &str, name: &str, now: OffsetDateTime) -> Result<(), Error> {
    let chain = pem::certificates(chain_pem).map_err(Error::ChainPem)?;
    let roots = pem::certificates(roots_pem).map_err(Error::RootsPem)?;
    let (leaf, intermediates) = chain
        .split_first()
        .ok_or(Error::ChainPem(pem::Error::NoCertificate(pem::Shape::Empty)))?;
    path(leaf, intermediates, &roots, now)?;
    let host = match name.strip_prefix("*.") {
        Some(parent) => format!("any-label.{parent}"),
        None => name.to_owned(),
    };
    let host = DnsName::try_from(host).map_err(|_| Error::Name {
        name: name.to_owned(),
    })?;
    let leaf = EndEntityCert::try_from(leaf).map_err(refused)?;
    leaf.verify_is_valid_for_subject_name(&ServerName::DnsName(host))
        .map_err(|error| match error {
            webpki::Error::CertNotValidForName(context) => Error::NameMismatch {
                name: name.to_owned(),
                names: context.presented.iter().map(|name| presented(name)).collect(),
            },
            other => refused(other),
        })
}

/// Verifies everything but the server's name: signatures, dates, usage,
/// constraints.
pub(crate) fn path(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut anchors: Vec<TrustAnchor<'_>> = Vec::with_capacity(roots.len());
    let mut dates: Vec<Inspected> = Vec::with_capacity(roots.len());
    let mut unusable = None;
    for root in roots {
        match anchor_from_trusted_cert(root) {
            Ok(anchor) => {
                anchors.push(anchor);
                dates.push(inspect::parse_der(root)?);
            }
            Err(error) => unusable = Some(error),
        }
    }
    // One odd root among the many of a system harms nobody.
    if let (true, Some(error)) = (anchors.is_empty(), unusable) {
        return Err(refused(error));
    }
    let time = unix_time(now);
    let root_in_date = |path: &webpki::VerifiedPath<'_>| {
        let used = path.anchor();
        let same = |anchor: &TrustAnchor<'_>| {
            anchor.subject == used.subject && anchor.subject_public_key_info == used.subject_public_key_info
        };
        let mut candidates = anchors
            .iter()
            .zip(&dates)
            .filter(|(anchor, _)| same(anchor))
            .map(|(_, root)| root);
        let mut first_out_of_date = None;
        loop {
            match candidates.next() {
                Some(root) if root.is_valid_at(now) => return Ok(()),
                Some(root) => first_out_of_date = first_out_of_date.or(Some(root)),
                None => break,
            }
        }
        match first_out_of_date {
            Some(root) if now < root.not_before => Err(webpki::Error::CertNotValidYet {
                time,
                not_before: unix_time(root.not_before),
            }),
            Some(root) => Err(webpki::Error::CertExpired {
                time,
                not_after: unix_time(root.not_after),
            }),
            None => Ok(()),
        }
    };
    EndEntityCert::try_from(leaf)
        .and_then(|leaf| {
            leaf.verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &anchors,
                intermediates,
                time,
                KeyUsage::server_auth(),
                None,
                Some(&root_in_date),
            )
            .map(|_| ())
        })
        .map_err(refused)
}

/// Whether the private key belongs to the first certificate of the chain, and
/// is of a kind that a rustls server can use.
pub fn key_matches(chain_pem: &str, key_pem: &str) -> Result<(), Error> {
    let chain = pem::certificates(chain_pem).map_err(Error::ChainPem)?;
    let leaf = chain
        .first()
        .ok_or(Error::ChainPem(pem::Error::NoCertificate(pem::Shape::Empty)))?;
    let leaf = inspect::parse_der(leaf)?;
    let key = pem::private_key(key_pem).map_err(Error::KeyPem)?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(Error::KeyKind)?;
    match key.public_key() {
        Some(public) if public.as_ref() == leaf.public_key_info => Ok(()),
        _ => Err(Error::KeyMismatch),
    }
}

fn refused(error: webpki::Error) -> Error {
    match error {
        webpki::Error::UnknownIssuer => Error::UnknownIssuer,
        webpki::Error::InvalidSignatureForPublicKey => Error::BadSignature,
        webpki::Error::CertExpired { not_after, .. } => Error::Expired {
            not_after: moment(not_after),
        },
        webpki::Error::CertNotValidYet { not_before, .. } => Error::NotYetValid {
            not_before: moment(not_before),
        },
        webpki::Error::NameConstraintViolation => Error::NameConstraint,
        webpki::Error::CaUsedAsEndEntity => Error::AuthorityAsServer,
        error @ webpki::Error::RequiredEkuNotFoundContext(_) => Error::Purpose(error),
        error @ (webpki::Error::UnsupportedSignatureAlgorithmContext(_)
        | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => Error::Algorithm(error),
        other => Error::Refused(other),
    }
}

/// webpki lists names as `DnsName("x")`: only the text is wanted.
fn presented(name: &str) -> String {
    name.split('"').nth(1).unwrap_or(name).to_owned()
}

fn unix_time(moment: OffsetDateTime) -> UnixTime {
    let seconds = u64::try_from(moment.unix_timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

fn moment(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .map_or_else(|| "an unknown time".to_owned(), |moment| moment.to_string())
}
