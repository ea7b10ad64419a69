//! `POST /init`: the manager hands the sandbox its settings.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use silica_runtime_api::InitRequest;

use super::ApiError;
use super::auth::{presented_token, refusal};
use crate::sandbox::Sandbox;

pub(super) async fn serve(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    if !sandbox.access.allows_init(presented_token(&headers)) {
        return Err(refusal());
    }
    let request: InitRequest = if body.is_empty() {
        InitRequest::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| ApiError::bad_request(format!("failed to read the request: {error}")))?
    };
    sandbox.apply_init(request);
    Ok(StatusCode::NO_CONTENT)
}
