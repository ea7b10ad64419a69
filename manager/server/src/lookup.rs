//! Finding a sandbox that the view does not have yet: another replica may have
//! claimed or created it a moment ago.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use kube::{Api, Client};
use silica_api::{crd::Sandbox, types::SandboxId};
use tokio::sync::Semaphore;

use crate::store::{Entry, Store};

/// How long a sandbox that does not exist is not asked for again. Longer than the
/// way of a watch event, short for a client that was told an id by another.
const MISSING_FOR: Duration = Duration::from_millis(250);
/// Most remembered ids.
const MAX_MISSING: usize = 4096;
/// Look-ups at a time; anonymous requests must not flood the API server.
const CONCURRENT: usize = 8;

/// Bounds the look-ups.
pub(crate) struct Lookups {
    missing: Mutex<HashMap<Box<str>, Instant>>,
    slots: Semaphore,
}

impl Default for Lookups {
    fn default() -> Self {
        Self {
            missing: Mutex::default(),
            slots: Semaphore::new(CONCURRENT),
        }
    }
}

impl Lookups {
    fn is_missing(&self, id: &str) -> bool {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.get(id).is_some_and(|since| since.elapsed() < MISSING_FOR)
    }

    fn remember(&self, id: &str) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.len() >= MAX_MISSING {
            missing.retain(|_, since| since.elapsed() < MISSING_FOR);
        }
        if missing.len() < MAX_MISSING {
            missing.insert(id.into(), Instant::now());
        }
    }

    /// The sandbox with this id, from the view, else from the API server.
    pub(crate) async fn find(
        &self,
        client: &Client,
        store: &Arc<Store>,
        id: &SandboxId,
    ) -> Option<Arc<Entry>> {
        // A known sandbox that is gone stays gone; one in a pool may just have left it.
        if let Some(known) = store.find(id.as_str()).filter(|entry| !entry.unclaimed) {
            return Some(known);
        }
        if self.is_missing(id.as_str()) {
            return None;
        }
        let _slot = self.slots.acquire().await.ok()?;
        if let Some(known) = store.find(id.as_str()).filter(|entry| !entry.unclaimed) {
            return Some(known);
        }
        if self.is_missing(id.as_str()) {
            return None;
        }
        let api: Api<Sandbox> = Api::namespaced(client.clone(), id.namespace());
        match api.get_opt(id.name()).await {
            Ok(Some(object)) => {
                let entry = store.apply(Entry::new(object)?);
                if entry.unclaimed {
                    self.remember(id.as_str());
                    return None;
                }
                Some(entry)
            }
            Ok(None) => {
                self.remember(id.as_str());
                None
            }
            Err(error) => {
                tracing::warn!(%error, sandbox = %id, "failed to look a sandbox up");
                None
            }
        }
    }
}
