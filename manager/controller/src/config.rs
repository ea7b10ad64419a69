//! What the process tells the controller at start.

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
}

impl Config {
    /// [`Config::workers`] unless set otherwise: enough to hide the latency of
    /// the API server, few enough to stay polite.
    pub const DEFAULT_WORKERS: u16 = 32;
}
