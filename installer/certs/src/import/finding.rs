//! What can speak against a certificate, and how it is told.

use std::fmt;

use time::OffsetDateTime;

use super::limits::Limit;
use super::strict::Strict;
use crate::inspect::KeyKind;

/// Something that speaks against the certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// The chain cannot be read.
    Chain(String),
    /// The private key cannot be read or used.
    Key(String),
    /// The private key belongs to another certificate.
    KeyMismatch,
    /// The first certificate is a CA's.
    AuthorityFirst,
    /// A certificate is not followed by its issuer.
    Order {
        /// The certificate.
        subject: String,
        /// Who signed it.
        issuer: String,
        /// What follows.
        next: String,
    },
    /// The chain stops below a CA that clients do not have.
    Incomplete {
        /// The CA whose certificate is missing.
        issuer: String,
    },
    /// The chain ends in a root of its own that clients do not have.
    RootUnknown {
        /// The root.
        subject: String,
    },
    /// The chain is a private CA's, and that CA is not at hand, so only clients
    /// will find out whether they trust it.
    IssuerUnknown {
        /// The CA.
        issuer: String,
    },
    /// Signatures, usage or constraints do not hold.
    Path(String),
    /// The root has ended, and everything below it is still alive.
    RootExpired {
        /// The root.
        subject: String,
        /// Its last moment.
        at: OffsetDateTime,
    },
    /// There are more CA certificates below the root than it permits, which most
    /// verifiers look at and rustls does not.
    PathLength {
        /// The root.
        subject: String,
    },
    /// A key that can be broken, or that verifiers take for such.
    WeakKey {
        /// Whose key it is.
        subject: String,
        /// The key.
        key: KeyKind,
    },
    /// A signature over a digest for which collisions can be made.
    WeakSignature {
        /// The certificate that was signed so.
        subject: String,
        /// The algorithm.
        algorithm: String,
    },
    /// A needed name is not covered.
    NameMissing(String),
    /// Its life is over.
    Expired(OffsetDateTime),
    /// Its life has not begun.
    NotYetValid(OffsetDateTime),
    /// It is not for server authentication.
    Usage,
    /// Its key usage does not allow to sign handshakes, as every key exchange of
    /// TLS 1.3 and every one with forward secrecy of TLS 1.2 needs.
    LeafKeyUsage,
    /// It ends soon.
    ExpiresSoon(OffsetDateTime),
    /// A CA above it ends soon, and before it.
    IssuerExpiresSoon {
        /// The CA.
        subject: String,
        /// Its last moment.
        at: OffsetDateTime,
    },
    /// Its authority key identifier is that of another certificate than its issuer's.
    KeyIdMismatch {
        /// The certificate.
        subject: String,
        /// Who signed it.
        issuer: String,
    },
    /// The CA that clients are given is an intermediate.
    NotARoot {
        /// That CA.
        subject: String,
    },
    /// A name that ends with a dot, which is none that clients look for.
    TrailingDot(String),
    /// A rule that Python enforces from 3.13 on.
    Strict {
        /// The certificate.
        subject: String,
        /// What it breaks.
        rule: Strict,
    },
    /// Some verifiers cannot do what it needs.
    Limit(Limit),
    /// It lives longer than Apple's platforms accept.
    TooLong,
    /// Python from 3.13 on refuses it.
    NoAuthorityKeyId,
    /// Its key is Ed25519, which rustls and OpenSSL take and many others do not.
    Ed25519,
    /// A CA certificate without key usage: strict verifiers refuse it.
    NoKeyUsage {
        /// The CA.
        subject: String,
    },
    /// A CA certificate whose key usage does not allow to sign certificates, which
    /// most verifiers look at and rustls does not.
    MustNotSign {
        /// The CA.
        subject: String,
    },
    /// The root is sent along, which costs bytes in every handshake.
    RootIncluded,
}

impl Finding {
    /// Whether it forbids the use, as opposed to a warning.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::IssuerUnknown { .. }
                | Self::ExpiresSoon(_)
                | Self::IssuerExpiresSoon { .. }
                | Self::NotARoot { .. }
                | Self::Strict { .. }
                | Self::TooLong
                | Self::NoAuthorityKeyId
                | Self::Ed25519
                | Self::NoKeyUsage { .. }
                | Self::RootIncluded
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(what) => write!(f, "the certificate file cannot be used: {what}"),
            Self::Key(what) => write!(f, "the private key cannot be used: {what}"),
            Self::KeyMismatch => f.write_str("the private key does not belong to the first certificate"),
            Self::AuthorityFirst => {
                f.write_str("the first certificate is a CA's; put the server certificate first")
            }
            Self::Order {
                subject,
                issuer,
                next,
            } => {
                write!(
                    f,
                    "{subject:?} was signed by {issuer:?}, but {next:?} follows; order the chain from the server to the root"
                )
            }
            Self::Incomplete { issuer } => {
                write!(
                    f,
                    "the certificate of {issuer:?} is missing; append the issuer's chain to the file"
                )
            }
            Self::RootUnknown { subject } => write!(
                f,
                "the chain ends in {subject:?}, which is none of the CAs that clients trust"
            ),
            Self::IssuerUnknown { issuer } => write!(
                f,
                "the certificate of its CA, {issuer:?}, is not at hand, so its signature was not verified; \
                 clients must trust that CA"
            ),
            Self::Path(what) => write!(f, "clients would refuse the chain: {what}"),
            Self::RootExpired { subject, at } => write!(f, "the root {subject:?} expired at {at}"),
            Self::PathLength { subject } => write!(
                f,
                "the root {subject:?} does not permit that many CA certificates below it (path length)"
            ),
            Self::WeakKey { subject, key } => write!(
                f,
                "the key of {subject:?} is weak: {key}; RSA needs 2048 bits or more"
            ),
            Self::WeakSignature { subject, algorithm } => write!(
                f,
                "the signature of {subject:?} is weak: {algorithm}; have it issued again with SHA-256"
            ),
            Self::NameMissing(name) => write!(
                f,
                "the name {name:?} is not covered; a wildcard does not cover its apex, nor two labels"
            ),
            Self::Expired(at) => write!(f, "it expired at {at}"),
            Self::NotYetValid(from) => write!(f, "it is not valid before {from}"),
            Self::Usage => f.write_str("its extended key usage does not allow server authentication"),
            Self::LeafKeyUsage => f.write_str(
                "its key usage does not allow digital signatures, which every handshake needs; \
                 browsers refuse it",
            ),
            Self::ExpiresSoon(at) => write!(f, "it expires soon, at {at}"),
            Self::IssuerExpiresSoon { subject, at } => write!(
                f,
                "the CA certificate {subject:?} of its chain expires soon, at {at}, and the chain with it"
            ),
            Self::KeyIdMismatch { subject, issuer } => write!(
                f,
                "the authority key identifier of {subject:?} fits no certificate of {issuer:?} here; OpenSSL, \
                 Python and Node.js refuse it; append the issuer's certificate that it names, or have it \
                 issued again"
            ),
            Self::NotARoot { subject } => write!(
                f,
                "the CA {subject:?} is an intermediate; Python up to 3.12 and Node.js refuse it as a trusted \
                 CA; give clients its root"
            ),
            Self::TrailingDot(name) => write!(
                f,
                "the name {name:?} ends with a dot; clients refuse it; have the certificate issued without the dot"
            ),
            Self::Strict { subject, rule } => {
                write!(f, "{subject:?} {rule}; Python from 3.13 on refuses it")
            }
            Self::Limit(limit) => limit.fmt(f),
            Self::TooLong => f.write_str("it lives longer than 825 days; Apple's platforms refuse it"),
            Self::NoAuthorityKeyId => {
                f.write_str("it has no authority key identifier; Python from 3.13 on refuses it")
            }
            Self::Ed25519 => f.write_str(
                "its key is Ed25519; browsers, and most load balancers and ingress controllers, refuse it",
            ),
            Self::NoKeyUsage { subject } => write!(
                f,
                "the CA certificate {subject:?} has no key usage; Python from 3.13 on refuses it"
            ),
            Self::MustNotSign { subject } => write!(
                f,
                "the CA certificate {subject:?} must not sign certificates: its key usage lacks keyCertSign"
            ),
            Self::RootIncluded => f.write_str("the file includes the root, which clients ignore"),
        }
    }
}
