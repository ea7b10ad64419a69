//! Routes of the contract that this server does not have: clear errors instead of
//! silence, and 404 first for sandboxes that the caller does not have.

use std::sync::Arc;

use axum::extract::State;

use super::{
    input::{Id, Segment},
    lifecycle, templates,
};
use crate::{auth::Caller, error::ApiError, state::App};

async fn refuse(app: &App, caller: &Caller, Id(id): &Id, message: &str) -> ApiError {
    match lifecycle::find(app, caller, id).await {
        Ok(_) => ApiError::not_supported(message),
        Err(error) => error,
    }
}

pub(super) async fn logs(State(app): State<Arc<App>>, caller: Caller, id: Id) -> ApiError {
    refuse(
        &app,
        &caller,
        &id,
        "logs are not kept here; use kubectl logs on the sandbox's pod",
    )
    .await
}

pub(super) async fn snapshots(State(app): State<Arc<App>>, caller: Caller, id: Id) -> ApiError {
    refuse(&app, &caller, &id, "snapshots are not supported").await
}

pub(super) async fn fork(State(app): State<Arc<App>>, caller: Caller, id: Id) -> ApiError {
    refuse(&app, &caller, &id, "forks are not supported").await
}

pub(super) async fn network(State(app): State<Arc<App>>, caller: Caller, id: Id) -> ApiError {
    refuse(
        &app,
        &caller,
        &id,
        "network rules are not supported; use a NetworkPolicy",
    )
    .await
}

pub(super) async fn list_snapshots(_: Caller) -> axum::Json<[(); 0]> {
    axum::Json([])
}

pub(super) async fn build_template(_: Caller) -> ApiError {
    ApiError::not_supported("templates are SandboxSets here; apply one with kubectl")
}

pub(super) async fn delete_template(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segment(id): Segment,
) -> ApiError {
    match templates::find(&app, &caller, &id) {
        Some(_) => ApiError::not_supported("templates are SandboxSets here; delete it with kubectl"),
        None => ApiError::template_not_found(&id),
    }
}
