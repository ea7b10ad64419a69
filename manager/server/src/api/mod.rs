//! The E2B REST API (contract section 2).

mod create;
mod input;
mod lifecycle;
mod list;
mod templates;
mod unsupported;
mod usage;
mod view;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use http::StatusCode;
use serde_json::json;

use crate::{auth::Caller, error::ApiError, state::App};

/// All routes. Every answer above 400 has a JSON body, unknown routes and methods
/// included: SDKs parse it.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/sandboxes", get(list::running).post(create::v1))
        .route("/v2/sandboxes", get(list::all).post(create::v2))
        .route("/sandboxes/metrics", get(usage::of_many))
        .route("/sandboxes/{id}", get(lifecycle::detail).delete(lifecycle::kill))
        .route("/sandboxes/{id}/timeout", post(lifecycle::set_timeout))
        .route("/sandboxes/{id}/refreshes", post(lifecycle::refresh))
        .route("/sandboxes/{id}/connect", post(lifecycle::connect_v1))
        .route("/v2/sandboxes/{id}/connect", post(lifecycle::connect_v2))
        .route("/sandboxes/{id}/resume", post(lifecycle::resume))
        .route("/sandboxes/{id}/pause", post(lifecycle::pause))
        .route("/sandboxes/{id}/metrics", get(usage::of_one))
        .route("/sandboxes/{id}/logs", get(unsupported::logs))
        .route("/v2/sandboxes/{id}/logs", get(unsupported::logs))
        .route("/sandboxes/{id}/snapshots", post(unsupported::snapshots))
        .route("/sandboxes/{id}/fork", post(unsupported::fork))
        .route("/sandboxes/{id}/network", put(unsupported::network))
        .route("/snapshots", get(unsupported::list_snapshots))
        .route("/templates", get(templates::list))
        .route("/v2/templates", get(templates::list))
        .route(
            "/templates/{id}",
            get(templates::detail).merge(delete(unsupported::delete_template)),
        )
        .route("/templates/aliases/{alias}", get(templates::alias))
        .route("/v3/templates", post(unsupported::build_template))
        .route("/teams", get(teams))
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "this route does not exist"))
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this route does not have that method",
            )
        })
        .layer(DefaultBodyLimit::max(input::MAX_BODY))
        .with_state(app)
}

async fn health() -> &'static str {
    "OK"
}

/// The teams of a key: always one.
async fn teams(caller: Caller) -> Response {
    Json(json!([{ "teamID": caller.team, "name": caller.team, "apiKey": "", "isDefault": true }]))
        .into_response()
}
