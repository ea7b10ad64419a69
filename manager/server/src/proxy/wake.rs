//! Sandboxes that wake up when somebody wants something of them (contract section 6.6).

use std::sync::Arc;

use jiff::Timestamp;
use silica_api::crd::Phase;
use silica_core::{state::State, timeout::Timeout};

use crate::{change, error::ApiError, state::App, store::Entry};

/// Whether a request has to wake the sandbox first: it is paused, or on its way back, and its
/// owner wants it to be resumed by traffic.
pub(super) fn is_due(entry: &Entry, now: Timestamp) -> bool {
    let is_away = match entry.state(now) {
        Some(State::Paused) => true,
        Some(State::Running) => entry.facts.phase == Some(Phase::Resuming),
        None => false,
    };
    is_away && entry.auto_resume.is_some()
}

/// Resumes it for as long as its create call said, within today's limit.
pub(super) async fn wake(app: &Arc<App>, entry: &Arc<Entry>) -> Result<Arc<Entry>, ApiError> {
    let max = app.config.max_timeout;
    let seconds = entry.auto_resume.unwrap_or(max).min(max);
    tracing::info!(sandbox = %entry.id, "a request resumes a paused sandbox");
    change::resume(app, entry, Timeout::new(seconds, max)?).await
}
