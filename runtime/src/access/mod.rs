//! Who may talk to the daemon: access tokens and signed file URLs.

mod signature;
mod token;

pub use signature::{Operation, SignatureError, SignedQuery, verify_signature};
pub use token::{Access, Fingerprint};
