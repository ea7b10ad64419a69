//! Official certificates by ACME (RFC 8555) with the dns-01 challenge, for a
//! domain and its wildcard.
//!
//! Every TXT record is seen on all name servers of its zone before the CA is
//! told to look, and is taken away again in every outcome.
//!
//! - [`account`] opens an account at a CA, [`directory`] names CAs
//! - [`order`] is the flow from order to certificate
//! - [`provider`] puts the TXT records into DNS, in one of three ways
//! - [`dns`] asks name servers: zones, aliases, propagation
//! - [`settings`] is what a renewal needs to know
//!
//! Nothing here knows Kubernetes. Keys and secrets show nothing in `Debug`.

pub mod account;
pub mod directory;
pub mod dns;
pub mod order;
pub mod problem;
pub mod provider;
pub mod settings;
mod transport;

pub use account::{Account, Credentials};
pub use directory::Directory;
pub use order::{Error, Issued, Order, issue};
pub use provider::{Dns01, Exec, Manual, Rfc2136, TxtRecord};
pub use settings::Settings;

/// Tells what is waited for. The same text may come again.
pub type Tell<'a> = &'a (dyn Fn(&str) + Send + Sync);
