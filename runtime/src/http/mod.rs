//! HTTP routes of the daemon: plain ones, and the Connect services behind the same port.

mod auth;
mod error;
mod extract;
mod files;
mod freeze;
mod idle;
mod init;
mod loopback;
mod metrics;
mod services;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HeaderValue,
};
use axum::http::{Method, Request, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use silica_runtime_api::{
    COMPOSE_PATH, ENVS_PATH, FILES_PATH, FREEZE_PATH, HEALTH_PATH, INIT_PATH, LOOPBACK_PATH,
    METRICS_HISTORY_PATH, METRICS_PATH, THAW_PATH,
};

pub use error::ApiError;
pub(crate) use freeze::refuse_while_frozen;
pub(crate) use idle::{IDLE_LIMIT, Impatient};

use crate::sandbox::Sandbox;

/// All routes of the daemon's main port.
pub fn router(sandbox: Arc<Sandbox>) -> Router {
    let services = services::connect(&sandbox);
    let only_awake = from_fn_with_state(Arc::clone(&sandbox), freeze::refuse_while_frozen);
    let always = Router::new()
        .route(METRICS_PATH, get(metrics::serve))
        .route(METRICS_HISTORY_PATH, get(metrics::serve_history))
        .route(FREEZE_PATH, post(freeze::freeze))
        .route(THAW_PATH, post(freeze::thaw));
    let awake = Router::new()
        .route(ENVS_PATH, get(serve_envs))
        .route(COMPOSE_PATH, post(files::compose))
        .route(&format!("{LOOPBACK_PATH}{{port}}"), get(loopback::serve))
        .route_service("/process.Process/{method}", services.clone())
        .route_service("/filesystem.Filesystem/{method}", services)
        .layer(only_awake.clone());
    let files = Router::new()
        .route(FILES_PATH, get(files::download).post(files::upload))
        .layer(only_awake);
    let protected = always
        .merge(awake)
        .layer(from_fn_with_state(Arc::clone(&sandbox), auth::require_token));
    Router::new()
        .route(HEALTH_PATH, get(serve_health))
        .route(INIT_PATH, post(init::serve))
        .merge(files)
        .merge(protected)
        .fallback(serve_nothing)
        .method_not_allowed_fallback(refuse_method)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(allow_any_origin))
        .with_state(sandbox)
}

async fn serve_health() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")])
}

async fn serve_envs(State(sandbox): State<Arc<Sandbox>>) -> impl IntoResponse {
    Json(sandbox.settings().env.as_ref().clone())
}

async fn serve_nothing() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not found")
}

async fn refuse_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this route does not have that method",
    )
}

/// CORS: pages of any origin may use the daemon, the token protects it.
pub(crate) async fn allow_any_origin(request: Request<axum::body::Body>, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key("access-control-request-method");
    let mut response = if is_preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    let any = HeaderValue::from_static("*");
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    if is_preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, any);
        // The star does not cover this one (Fetch standard, section 3.3.3).
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("*, Authorization"),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    } else {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, any);
    }
    response
}
