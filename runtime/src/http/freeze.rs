//! `POST /freeze` and `POST /thaw`: everything in the sandbox stands still, and goes on.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use silica_runtime_api::{Frozen, HEALTH_PATH, Thawed};

use super::ApiError;
use crate::blocking::blocking;
use crate::freeze::FreezeError;
use crate::sandbox::Sandbox;

pub(super) async fn freeze(State(sandbox): State<Arc<Sandbox>>) -> Result<Json<Frozen>, ApiError> {
    let freezer = Arc::clone(&sandbox.freezer);
    Ok(Json(blocking(move || freezer.freeze()).await??))
}

pub(super) async fn thaw(State(sandbox): State<Arc<Sandbox>>) -> Result<Json<Thawed>, ApiError> {
    let freezer = Arc::clone(&sandbox.freezer);
    Ok(Json(blocking(move || freezer.thaw()).await?))
}

/// Refuses what would start or change something in a frozen sandbox. What runs already goes on.
pub(crate) async fn refuse_while_frozen(
    State(sandbox): State<Arc<Sandbox>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    // Probes of the pod ask for its health.
    if sandbox.freezer.is_frozen() && request.uri().path() != HEALTH_PATH {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the sandbox is paused; resume it first",
        )
        .into_response()
    } else {
        next.run(request).await
    }
}

impl From<FreezeError> for ApiError {
    fn from(error: FreezeError) -> Self {
        let status = match &error {
            FreezeError::NotIsolated => StatusCode::CONFLICT,
            FreezeError::Read(_) => StatusCode::INTERNAL_SERVER_ERROR,
            FreezeError::Restless(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
