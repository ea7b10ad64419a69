//! What the process tells the controller at start.

use std::time::Duration;

use silica_core::token::TokenKey;

use crate::{Health, RuntimeSource};

/// Settings of [`crate::run`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Namespace of the installation: of the Lease and the certificates.
    pub namespace: String,
    /// Name under which this process holds the Lease; unique among the replicas.
    pub identity: String,
    /// The runtime for pods whose template brings none.
    pub runtime: RuntimeSource,
    /// Key that the access tokens of sandboxes are derived from.
    pub token_key: TokenKey,
    /// Reconciliations of one kind that may run at a time.
    pub workers: u16,
    /// Readiness and metrics, shared with the admin endpoint.
    pub health: Health,
    /// How the CA is replaced before it ends.
    pub authority: AuthorityRenewal,
}

/// How the CA is replaced before it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuthorityRenewal {
    /// Whether it is; otherwise its end is only announced.
    pub is_on: bool,
    /// Time that clients get to read the new trust bundle; two minutes unless set.
    pub spread: Option<Duration>,
    /// From the switch to the retirement of the former CA. Unless set it is the life of
    /// a server certificate, and lasts until the former CA's last one has ended.
    pub soak: Option<Duration>,
}

impl Default for AuthorityRenewal {
    fn default() -> Self {
        Self {
            is_on: true,
            spread: None,
            soak: None,
        }
    }
}

impl Config {
    /// [`Config::workers`] unless set otherwise: enough to hide the latency of
    /// the API server, few enough to stay polite.
    pub const DEFAULT_WORKERS: u16 = 32;
}
