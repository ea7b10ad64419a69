//! Health, readiness and metrics of either role, on a port of their own.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};

use silica_listen::listen;

/// What the admin endpoint asks a role.
pub trait Readiness: Send + Sync + 'static {
    /// Whether the role can do its work.
    fn is_ready(&self) -> bool;
    /// The metrics in the Prometheus text format.
    fn render_metrics(&self) -> String;
}

/// Serves `/healthz`, `/readyz` and `/metrics` forever.
pub async fn serve(address: SocketAddr, role: Arc<dyn Readiness>) -> std::io::Result<()> {
    let listener = listen(address)?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(role);
    axum::serve(listener, router).await
}

async fn ready(State(role): State<Arc<dyn Readiness>>) -> impl IntoResponse {
    if role.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(role): State<Arc<dyn Readiness>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        role.render_metrics(),
    )
}
