//! `GET /metrics` and `GET /metrics/history`: what the sandbox uses.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use silica_runtime_api::Usage;

use crate::sandbox::Sandbox;

pub(super) async fn serve(State(sandbox): State<Arc<Sandbox>>) -> Json<Usage> {
    Json(sandbox.usage.now().await)
}

/// The samples of the last hour, and one of now.
pub(super) async fn serve_history(State(sandbox): State<Arc<Sandbox>>) -> Json<Vec<Usage>> {
    let now = sandbox.usage.now().await;
    let mut usages = sandbox.usage.history();
    if usages.last().is_none_or(|last| last.ts < now.ts) {
        usages.push(now);
    }
    Json(usages)
}
