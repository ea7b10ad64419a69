//! What every request can reach.

use std::sync::Arc;

use arc_swap::ArcSwap;
use kube::Client;
use silica_api::types::SandboxId;
use silica_core::{api_key::KeyRing, route::Router};

use crate::{
    Config,
    locks::Locks,
    lookup::Lookups,
    metrics::Metrics,
    store::{Entry, Store},
};

/// What every request can reach.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) store: Arc<Store>,
    pub(crate) keys: ArcSwap<KeyRing>,
    pub(crate) routes: Router,
    pub(crate) lookups: Lookups,
    /// By the hash of an idempotent call.
    pub(crate) idempotency: Locks,
    /// By the id of a sandbox that is resumed.
    pub(crate) resumptions: Locks,
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
            resumptions: Locks::default(),
            metrics: Metrics::default(),
        }
    }
    /// The sandbox with this id, from the view, else from the API server.
    pub(crate) async fn lookup(&self, id: &SandboxId) -> Option<Arc<Entry>> {
        self.lookups.find(&self.client, &self.store, id).await
    }
}
