//! Sandboxes that wake up when somebody wants something of them (contract section 6.6).

use std::sync::Arc;

use jiff::Timestamp;
use silica_api::crd::Phase;
use silica_core::{
    state::State,
    timeout::{DEFAULT_SECONDS, Timeout},
};

use crate::{change, error::ApiError, state::App, store::Entry};

/// Shortest life of a sandbox that traffic has resumed: as long as one that is created without a timeout
/// (contract section 6.6).
const MIN_SECONDS: i64 = DEFAULT_SECONDS;

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

/// Resumes it for as long as its create call said, but for at least [`MIN_SECONDS`], within today's limit.
pub(super) async fn wake(app: &Arc<App>, entry: &Arc<Entry>) -> Result<Arc<Entry>, ApiError> {
    let max = app.config.max_timeout;
    let timeout = Timeout::new(awake_seconds(entry.auto_resume, max), max)?;
    tracing::info!(sandbox = %entry.id, "a request resumes a paused sandbox");
    change::resume(app, entry, timeout).await
}

/// How long a sandbox stays awake that was created with this timeout.
fn awake_seconds(created_with: Option<i64>, max: i64) -> i64 {
    created_with.unwrap_or(max).max(MIN_SECONDS).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_create_timeout_does_not_pause_a_sandbox_right_after_it_woke_up() {
        assert_eq!(awake_seconds(Some(4), 3600), 300);
        assert_eq!(awake_seconds(Some(900), 3600), 900);
        assert_eq!(awake_seconds(Some(900), 600), 600, "the limit of today counts");
        assert_eq!(awake_seconds(Some(4), 60), 60);
        assert_eq!(awake_seconds(None, 3600), 3600);
    }
}
