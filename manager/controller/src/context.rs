//! What every reconciliation can reach.

use std::sync::{Arc, Mutex};

use kube::Client;
use silica_core::token::TokenKey;

use crate::{Config, cache::Caches, event, metrics::Metrics, sandbox_set};

/// Shared by all reconciliations of one term of leadership.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) caches: Caches,
    pub(crate) settings: Settings,
    pub(crate) events: event::Sender,
    pub(crate) metrics: Arc<Metrics>,
    /// What the pools did that the caches may not show yet.
    pub(crate) memory: Mutex<sandbox_set::Memory>,
}

/// Settings that shape pods.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// See [`Config::runtime_image`].
    pub(crate) runtime_image: String,
    /// See [`Config::token_key`].
    pub(crate) token_key: TokenKey,
}

impl Context {
    pub(crate) fn new(config: &Config, client: Client, caches: Caches, events: event::Sender) -> Self {
        let metrics = config.health.metrics();
        Self {
            client,
            caches,
            settings: Settings {
                runtime_image: config.runtime_image.clone(),
                token_key: config.token_key.clone(),
            },
            events: events.counting(Arc::clone(&metrics)),
            metrics,
            memory: Mutex::default(),
        }
    }
}
