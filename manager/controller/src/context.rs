//! What every reconciliation can reach.

use std::sync::{Arc, Mutex};

use kube::Client;
use silica_core::token::TokenKey;

use crate::{
    Config, RuntimeSource,
    cache::Caches,
    event,
    memory::{Claims, Pools},
    metrics::Metrics,
    runtime_source::Copies,
};

/// Shared by all reconciliations of one term of leadership.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) caches: Caches,
    pub(crate) settings: Settings,
    pub(crate) events: event::Sender,
    pub(crate) metrics: Arc<Metrics>,
    /// The runtime in the namespaces of sandboxes.
    pub(crate) copies: Copies,
    /// What the pools did that the caches may not show yet.
    pub(crate) pools: Mutex<Pools>,
    /// Random id of this term.
    pub(crate) term: String,
    /// What was written about claims that the cache may not show yet.
    pub(crate) claims: Mutex<Claims>,
}

/// Settings that shape pods.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// See [`Config::runtime`].
    pub(crate) runtime: RuntimeSource,
    /// See [`Config::token_key`].
    pub(crate) token_key: TokenKey,
}

impl Context {
    pub(crate) fn new(config: &Config, client: Client, caches: Caches, events: event::Sender) -> Self {
        let metrics = config.health.metrics();
        Self {
            copies: Copies::new(client.clone(), &config.namespace),
            client,
            caches,
            settings: Settings {
                runtime: config.runtime.clone(),
                token_key: config.token_key.clone(),
            },
            events: events.counting(Arc::clone(&metrics)),
            metrics,
            pools: Mutex::default(),
            term: format!("{:016x}", rand::random::<u64>()),
            claims: Mutex::default(),
        }
    }
}
