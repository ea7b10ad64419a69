//! Why a step of a rotation cannot be made.

use crate::{authority, bundle, key, leaf, rotation::Refusal, verify};

/// Why a step cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The order of the phases forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A CA could not be made or cannot sign its successor.
    #[error("failed to make the next CA")]
    Authority(#[from] authority::Error),
    /// The server certificate has no key.
    #[error("failed to make the server's key")]
    Key(#[from] key::Error),
    /// The server certificate could not be issued.
    #[error("failed to issue the server certificate")]
    Leaf(#[from] leaf::Error),
    /// The trust bundle cannot be put together.
    #[error("failed to put the trust bundle together")]
    Bundle(#[from] bundle::Error),
    /// A group of clients would not accept the certificate.
    #[error("{clients} would not accept the new certificate for {name:?}")]
    Untrusted {
        /// Who would refuse it.
        clients: &'static str,
        /// The name that was asked for.
        name: String,
        /// Why.
        #[source]
        source: verify::Error,
    },
    /// Nobody was told to trust the next CA.
    #[error("the trust bundle does not hold the next CA; publish it first, with the phase prepare")]
    NotPublished,
    /// The state belongs to a rotation whose key is not there.
    #[error("failed to find the next CA")]
    NoNext,
}
