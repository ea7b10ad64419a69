//! Checks the access token of requests.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use silica_runtime_api::ACCESS_TOKEN_HEADER;

use super::ApiError;
use crate::sandbox::Sandbox;

const REFUSAL: &str =
    "unauthorized access, please provide a valid access token or method signing if supported";

/// Refuses requests without the sandbox's token.
pub(super) async fn require_token(
    State(sandbox): State<Arc<Sandbox>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    if sandbox.access.allows(presented_token(request.headers())) {
        next.run(request).await
    } else {
        refusal().into_response()
    }
}

/// The token that a request carries.
pub(super) fn presented_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(ACCESS_TOKEN_HEADER)
        .and_then(|value| value.to_str().ok())
}

/// The answer to a request without the token.
pub(super) fn refusal() -> ApiError {
    ApiError::unauthorized(REFUSAL)
}
