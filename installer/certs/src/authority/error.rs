//! Why there is no CA to work with.

use time::{Duration, OffsetDateTime};

use crate::{inspect, names, pem};

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
    /// The key is in an older form, and not of the kind that the certificate names.
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
    /// A name that the CA is limited to cannot be written into a certificate again.
    #[error(
        "{subject:?} is limited to {name:?}, which is not ASCII; make a CA whose name constraints are in A-label form"
    )]
    Limit {
        /// Subject of the certificate.
        subject: String,
        /// The name.
        name: String,
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
