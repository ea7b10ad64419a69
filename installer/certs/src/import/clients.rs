//! What the kinds of TLS clients would say, each with its habits. The table of
//! cases in `tests/matrix` holds real clients against it.

use super::{Finding, Limit, Review};
use crate::inspect::{Inspected, KeyKind};

/// A kind of TLS client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Client {
    /// OpenSSL with its defaults, and what is built on it.
    OpenSsl,
    /// curl, which takes an intermediate for a trusted CA.
    Curl,
    /// Python from 3.13 on, which sets the strict checks of OpenSSL.
    Python313,
    /// rustls, in the newest E2B SDK for Python.
    Rustls,
    /// rustls with ring, as clients in Rust have it.
    RustlsRing,
    /// Go's `crypto/x509`.
    Go,
    /// Node, and the E2B SDK for JavaScript on it.
    Node,
    /// Browsers and Apple's platforms; the strictest of them counts.
    Browsers,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::OpenSsl,
        Self::Curl,
        Self::Python313,
        Self::Rustls,
        Self::RustlsRing,
        Self::Go,
        Self::Node,
        Self::Browsers,
    ];

    /// How people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OpenSsl => "OpenSSL, Python up to 3.12",
            Self::Curl => "curl",
            Self::Python313 => "Python from 3.13 on",
            Self::Rustls => "rustls (newest E2B SDK for Python)",
            Self::RustlsRing => "rustls with ring",
            Self::Go => "Go",
            Self::Node => "Node.js (E2B SDK for JavaScript)",
            Self::Browsers => "browsers, Apple's platforms",
        }
    }

    /// Its name for programs.
    pub const fn id(self) -> &'static str {
        match self {
            Self::OpenSsl => "openssl",
            Self::Curl => "curl",
            Self::Python313 => "python-3.13",
            Self::Rustls => "rustls",
            Self::RustlsRing => "rustls-ring",
            Self::Go => "go",
            Self::Node => "node",
            Self::Browsers => "browsers",
        }
    }

    fn is_rustls(self) -> bool {
        matches!(self, Self::Rustls | Self::RustlsRing)
    }

    /// Whether it refuses the certificate because of the finding.
    fn refuses(self, finding: &Finding, leaf: Option<&Inspected>) -> bool {
        match finding {
            Finding::Chain(_)
            | Finding::Key(_)
            | Finding::KeyMismatch
            | Finding::Incomplete { .. }
            | Finding::RootUnknown { .. }
            | Finding::Path(_)
            | Finding::Expired(_)
            | Finding::NotYetValid(_)
            | Finding::Usage
            | Finding::WeakSignature { .. } => true,
            // They look for issuers among all that is sent.
            Finding::Order { .. }
            | Finding::IssuerUnknown { .. }
            | Finding::ExpiresSoon(_)
            | Finding::IssuerExpiresSoon { .. }
            | Finding::RootIncluded => false,
            Finding::AuthorityFirst => matches!(self, Self::Rustls | Self::RustlsRing | Self::Browsers),
            Finding::RootExpired { .. } | Finding::PathLength { .. } | Finding::MustNotSign { .. } => {
                !self.is_rustls()
            }
            Finding::WeakKey { key, .. } => match self {
                Self::Go => !matches!(key, KeyKind::Rsa(1024..)),
                _ => true,
            },
            Finding::NameMissing(name) => match self {
                Self::OpenSsl | Self::Curl | Self::Python313 | Self::Node => {
                    !leaf.is_some_and(|leaf| is_common_name(leaf, name))
                }
                Self::Rustls | Self::RustlsRing | Self::Go | Self::Browsers => true,
            },
            Finding::LeafKeyUsage | Finding::TooLong | Finding::Ed25519 => self == Self::Browsers,
            Finding::NoAuthorityKeyId | Finding::NoKeyUsage { .. } | Finding::Strict { .. } => {
                self == Self::Python313
            }
            Finding::KeyIdMismatch { .. } => {
                matches!(self, Self::OpenSsl | Self::Curl | Self::Python313 | Self::Node)
            }
            Finding::NotARoot { .. } => matches!(self, Self::OpenSsl | Self::Node),
            Finding::TrailingDot(_) => {
                matches!(
                    self,
                    Self::OpenSsl | Self::Python313 | Self::Rustls | Self::RustlsRing | Self::Browsers
                )
            }
            Finding::Limit(limit) => match limit {
                Limit::Policies { is_violated } => self.is_rustls() || (self == Self::Go && *is_violated),
                Limit::DirectoryNames | Limit::NameEncoding { .. } => self.is_rustls() || self == Self::Go,
                Limit::Intermediates => self.is_rustls(),
                Limit::Signature | Limit::ServerKey => self == Self::RustlsRing,
            },
        }
    }
}

/// Whether the certificate has no alternative names at all, and the name as its
/// common name, which some clients then look at.
fn is_common_name(leaf: &Inspected, name: &str) -> bool {
    let common = leaf.subject.split("CN=").nth(1).unwrap_or_default();
    leaf.names.is_empty() && common.split(',').next() == Some(name)
}

/// What one kind of client would say, if it has the CA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The client.
    pub client: Client,
    /// Why it refuses the certificate; empty when it accepts it.
    pub because: Vec<Finding>,
}

impl Outcome {
    /// Whether the client connects.
    pub fn is_accepted(&self) -> bool {
        self.because.is_empty()
    }
}

impl Review {
    /// What each kind of client would say, if it trusts the root.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let leaf = self.chain.first();
        Client::ALL
            .into_iter()
            .map(|client| Outcome {
                client,
                because: self
                    .findings
                    .iter()
                    .filter(|finding| client.refuses(finding, leaf))
                    .cloned()
                    .collect(),
            })
            .collect()
    }
}
