//! What every request can reach.

use std::sync::Arc;

use arc_swap::ArcSwap;
use kube::Client;
use silica_core::{api_key::KeyRing, route::Router};

use crate::{Config, idempotency::Locks, lookup::Lookups, metrics::Metrics, store::Store};

/// What every request can reach.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) store: Arc<Store>,
    pub(crate) keys: ArcSwap<KeyRing>,
    pub(crate) routes: Router,
    pub(crate) lookups: Lookups,
    pub(crate) idempotency: Locks,
    pub(crate) metrics: Metrics,
}

impl App {
    /// A server without any knowledge of the cluster yet.
    pub(crate) fn new(config: Config, client: Client) -> Self {
        let routes = Router::new(config.domains.clone(), config.namespace.as_str());
        Self {
            config,
            client,
            store: Arc::default(),
            keys: ArcSwap::default(),
            routes,
            lookups: Lookups::default(),
            idempotency: Locks::default(),
            metrics: Metrics::default(),
        }
    }
}
