//! What speaks against a certificate, with what to do about it.

use std::fmt;

use time::OffsetDateTime;

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
    /// The chain is a private CA's, and that CA is not at hand, so only clients
    /// will find out whether they trust it.
    IssuerUnknown {
        /// The CA.
        issuer: String,
    },
    /// Signatures, usage or constraints do not hold.
    Path(String),
    /// A needed name is not covered.
    NameMissing(String),
    /// Its life is over.
    Expired(OffsetDateTime),
    /// Its life has not begun.
    NotYetValid(OffsetDateTime),
    /// It is not for server authentication.
    Usage,
    /// It ends soon.
    ExpiresSoon(OffsetDateTime),
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
            Self::IssuerUnknown { issuer } => write!(
                f,
                "the certificate of its CA, {issuer:?}, is not at hand, so its signature was not verified; \
                 clients must trust that CA"
            ),
            Self::Path(what) => write!(f, "clients would refuse the chain: {what}"),
            Self::NameMissing(name) => write!(
                f,
                "the name {name:?} is not covered; a wildcard does not cover its apex, nor two labels"
            ),
            Self::Expired(at) => write!(f, "it expired at {at}"),
            Self::NotYetValid(from) => write!(f, "it is not valid before {from}"),
            Self::Usage => f.write_str("its extended key usage does not allow server authentication"),
            Self::ExpiresSoon(at) => write!(f, "it expires soon, at {at}"),
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
