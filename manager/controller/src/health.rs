//! Readiness and metrics of the controller, for the process's admin endpoint.

use std::sync::{Arc, OnceLock};

use crate::{
    cache::Caches,
    metrics::{self, Metrics},
};

/// Shared handle; clones see the same state.
#[derive(Clone, Default)]
pub struct Health(Arc<State>);

#[derive(Default)]
struct State {
    caches: OnceLock<Caches>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health")
            .field("ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}

impl Health {
    /// Whether the caches hold a full list of every kind. A standby is ready too.
    pub fn is_ready(&self) -> bool {
        use futures::FutureExt as _;
        self.0
            .caches
            .get()
            .is_some_and(|caches| caches.wait_until_ready().now_or_never().is_some())
    }

    /// Whether this process holds the Lease.
    pub fn is_leading(&self) -> bool {
        self.0.metrics.leading.get() == 1
    }

    /// The metrics in the Prometheus text format (version 0.0.4).
    pub fn render_metrics(&self) -> String {
        metrics::render(&self.0.metrics, self.0.caches.get())
    }

    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.0.metrics)
    }

    pub(crate) fn attach(&self, caches: Caches) {
        // Set once: a second run with the same handle keeps the first view.
        let _ = self.0.caches.set(caches);
    }

    pub(crate) fn set_leading(&self, leading: bool) {
        self.0.metrics.leading.set(u64::from(leading));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ready_before_the_first_lists() {
        let health = Health::default();
        assert!(!health.is_ready());
        let (caches, _writers) = Caches::new();
        health.attach(caches);
        assert!(!health.is_ready());
    }

    #[test]
    fn leadership_is_visible_in_the_metrics() {
        let health = Health::default();
        health.set_leading(true);
        assert!(health.is_leading());
        assert!(
            health
                .render_metrics()
                .contains("\nsilica_controller_leading 1\n")
        );
    }
}
