//! Waiting for the watch to show a write. Replicas follow the same watch of the API server,
//! which serves all of them at once: a client that has its answer may send the next request
//! to any of them, and must not be told of the time before.

use std::time::Duration;

use super::{Entry, Store};

/// Longest wait. A watch that is further behind is about to be opened again, and the answer
/// is right already.
const LIMIT: Duration = Duration::from_millis(100);

impl Store {
    /// Notes that the watch has shown everything up to this version.
    pub(super) fn note_shown(&self, version: u64) {
        self.shown.send_if_modified(|newest| {
            let is_newer = version > *newest;
            *newest = version.max(*newest);
            is_newer
        });
    }

    /// Waits until the watch has shown this version of a sandbox.
    pub(crate) async fn wait_shown(&self, entry: &Entry) {
        let mut shown = self.shown.subscribe();
        let reached = shown.wait_for(|newest| *newest >= entry.version);
        let _ = tokio::time::timeout(LIMIT, reached).await;
    }

    /// Waits until the watch has shown that a sandbox was deleted.
    pub(crate) async fn wait_gone(&self, entry: &Entry) {
        let gone = self.wait_until(entry.id.as_str(), |known| {
            known.is_none_or(|known| known.uid != entry.uid).then_some(())
        });
        let _ = tokio::time::timeout(LIMIT, gone).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tokio::time::Instant;

    use super::*;

    fn entry(version: u64) -> Entry {
        let sandbox = serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a", "namespace": "default", "uid": "u",
                "resourceVersion": version.to_string()},
            "spec": {"template": {}},
        }))
        .unwrap();
        Entry::new(sandbox).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_waited_for_until_the_watch_has_passed_it() {
        let store = Arc::new(Store::default());
        store.note_shown(4);
        let start = Instant::now();
        let waiting = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.wait_shown(&entry(6)).await }
        });
        tokio::time::sleep(LIMIT / 2).await;
        store.note_shown(5);
        store.note_shown(3);
        assert!(!waiting.is_finished());
        store.note_shown(7);
        waiting.await.unwrap();
        assert_eq!(start.elapsed(), LIMIT / 2);
        store.wait_shown(&entry(7)).await;
        assert_eq!(start.elapsed(), LIMIT / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_waited_for_until_the_watch_shows_it() {
        let store = Arc::new(Store::default());
        let known = store.apply(entry(6));
        store.kill(&known);
        let start = Instant::now();
        let waiting = tokio::spawn({
            let (store, known) = (Arc::clone(&store), Arc::clone(&known));
            async move { store.wait_gone(&known).await }
        });
        tokio::time::sleep(LIMIT / 2).await;
        assert!(!waiting.is_finished());
        store.remove(known.id.as_str(), &known.uid);
        waiting.await.unwrap();
        assert_eq!(start.elapsed(), LIMIT / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_behind_delays_no_answer_for_long() {
        let store = Arc::new(Store::default());
        let known = store.apply(entry(6));
        let start = Instant::now();
        store.wait_shown(&known).await;
        store.wait_gone(&known).await;
        assert_eq!(start.elapsed(), 2 * LIMIT);
    }
}
