//! Settings of the server role.

use std::{net::SocketAddr, time::Duration};

use silica_api::types::{Domain, NamespaceName};
use silica_core::token::TokenKey;

/// Settings of the server role, all validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// Domains that clients use; the first is handed out where the request names none.
    pub domains: Vec<Domain>,
    /// Namespace of the installation: where its Secrets and its Service are.
    pub namespace: NamespaceName,
    /// Plain HTTP listener.
    pub http: SocketAddr,
    /// TLS listener and the name of the Secret with its certificate.
    pub https: Option<(SocketAddr, String)>,
    /// Health, readiness and metrics.
    pub admin: SocketAddr,
    /// Whether callers need an API key.
    pub auth: Auth,
    /// Longest timeout that a client may ask for, in seconds.
    pub max_timeout: i64,
    /// Key that access tokens are derived from.
    pub token_key: TokenKey,
    /// Time between "not ready" and "no new connections" at the end, in which load
    /// balancers learn of it.
    pub shutdown_delay: Duration,
    /// Longest time that requests in flight get at the end.
    pub drain: Duration,
}

/// Whether callers need an API key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Auth {
    /// Every request of the API needs a key.
    Keys,
    /// Everybody is the administrator; for trusted networks only.
    Off,
}
