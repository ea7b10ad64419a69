//! Calls on one sandbox: get, kill, deadlines, connect, pause and resume.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use silica_api::{crd::Phase, types::SandboxId};
use silica_core::{
    claim::OnTimeout,
    state::State,
    timeout::{DEFAULT_SECONDS, MAX_REFRESH_SECONDS, Timeout},
};

use super::{
    input::{Id, Payload},
    view,
};
use crate::{
    auth::Caller,
    change::{self, CHANGE_LIMIT, change, deadline, extend},
    dispatch::RequestDomain,
    error::{ApiError, json_response},
    objects::delete,
    ready::wait_until_up,
    state::App,
    store::Entry,
};

/// The caller's sandbox and its state; everything else is the same 404.
pub(super) async fn find(
    app: &App,
    caller: &Caller,
    id: &SandboxId,
) -> Result<(Arc<Entry>, State), ApiError> {
    let found = app.lookup(id).await.filter(|entry| caller.owns(entry));
    found
        .and_then(|entry| entry.state(Timestamp::now()).map(|state| (entry, state)))
        .ok_or_else(|| ApiError::sandbox_not_found(id.as_str()))
}

pub(super) async fn detail(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    RequestDomain(domain): RequestDomain,
    Id(id): Id,
) -> Result<Response, ApiError> {
    let (entry, state) = find(&app, &caller, &id).await?;
    Ok(json_response(
        StatusCode::OK,
        &view::detail(&app, &entry, state, &domain),
    ))
}

pub(super) async fn kill(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let start = Instant::now();
    let (entry, _) = find(&app, &caller, &id).await?;
    if !delete(&app, &entry).await? {
        return Err(ApiError::sandbox_not_found(id.as_str()));
    }
    app.store.wait_gone(&entry).await;
    app.metrics.kill.observe(start.elapsed());
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct TimeoutBody {
    timeout: Option<i64>,
}

/// The deadline becomes now plus the timeout; zero and less end the sandbox at once.
pub(super) async fn set_timeout(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    body: Payload<TimeoutBody>,
) -> Result<StatusCode, ApiError> {
    let seconds = body
        .value
        .timeout
        .ok_or_else(|| ApiError::bad_request("timeout is required"))?;
    let (entry, state) = find(&app, &caller, &id).await?;
    if seconds <= 0 {
        if entry.on_timeout == OnTimeout::Kill {
            delete(&app, &entry).await?;
            app.store.wait_gone(&entry).await;
        } else if state == State::Running {
            pause_and_wait(&app, &entry).await?;
        }
        return Ok(StatusCode::NO_CONTENT);
    }
    let timeout = Timeout::new(seconds, app.config.max_timeout)?;
    change(&app, &entry, |known| {
        let is_running = known.state(Timestamp::now()) == Some(State::Running);
        (is_running && !known.never_timeout).then(|| deadline(known, timeout))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RefreshBody {
    duration: Option<i64>,
}

/// Extends the life to at least the duration from now.
pub(super) async fn refresh(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    body: Payload<RefreshBody>,
) -> Result<StatusCode, ApiError> {
    let (entry, state) = find(&app, &caller, &id).await?;
    let timeout = Timeout::new(
        body.value.duration.unwrap_or(DEFAULT_SECONDS),
        MAX_REFRESH_SECONDS,
    )?;
    if state == State::Running {
        extend(&app, &entry, timeout).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn connect_v1(
    shared: Shared<Arc<App>>,
    caller: Caller,
    domain: RequestDomain,
    id: Id,
    body: Payload<TimeoutBody>,
) -> Result<Response, ApiError> {
    connect_v2(shared, caller, domain, id, body).await
}

/// Extends the life of a running sandbox, resumes a paused one.
pub(super) async fn connect_v2(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    RequestDomain(domain): RequestDomain,
    Id(id): Id,
    body: Payload<TimeoutBody>,
) -> Result<Response, ApiError> {
    let (entry, state) = find(&app, &caller, &id).await?;
    let timeout = Timeout::new(
        body.value.timeout.unwrap_or(DEFAULT_SECONDS),
        app.config.max_timeout,
    )?;
    let entry = match state {
        State::Paused => entry,
        State::Running => extend(&app, &entry, timeout).await?,
    };
    let (entry, status) = match entry.state(Timestamp::now()) {
        // It may have been paused a moment ago.
        Some(State::Paused) => (change::resume(&app, &entry, timeout).await?, StatusCode::CREATED),
        // Another client may be resuming it.
        Some(State::Running) if entry.facts.phase == Some(Phase::Resuming) => {
            (wait_until_up(&app, &entry, CHANGE_LIMIT).await?, StatusCode::OK)
        }
        Some(State::Running) => (entry, StatusCode::OK),
        None => return Err(ApiError::sandbox_not_found(id.as_str())),
    };
    Ok(json_response(status, &view::session(&app, &entry, &domain)))
}

/// The resume call of the first SDKs of version 2.
pub(super) async fn resume(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    RequestDomain(domain): RequestDomain,
    Id(id): Id,
    body: Payload<TimeoutBody>,
) -> Result<Response, ApiError> {
    let (entry, state) = find(&app, &caller, &id).await?;
    let timeout = Timeout::new(
        body.value.timeout.unwrap_or(DEFAULT_SECONDS),
        app.config.max_timeout,
    )?;
    if state == State::Running {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("Sandbox {id} is already running"),
        ));
    }
    let entry = change::resume(&app, &entry, timeout).await?;
    Ok(json_response(
        StatusCode::CREATED,
        &view::session(&app, &entry, &domain),
    ))
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct PauseBody {}

pub(super) async fn pause(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    _: Payload<PauseBody>,
) -> Result<Response, ApiError> {
    let (entry, state) = find(&app, &caller, &id).await?;
    if state == State::Paused {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("Sandbox {id} is already paused"),
        ));
    }
    pause_and_wait(&app, &entry).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Pauses; the clock stops, so a sandbox that would be killed at its timeout loses
/// its deadline until it is resumed.
async fn pause_and_wait(app: &App, entry: &Arc<Entry>) -> Result<(), ApiError> {
    change(app, entry, |known| {
        (!known.facts.pause_asked).then(|| json!({ "paused": true, "shutdownTime": null }))
    })
    .await?;
    let paused = app.store.wait_until(entry.id.as_str(), |known| match known {
        Some(known) if known.uid == entry.uid && known.facts.phase == Some(Phase::Paused) => Some(Ok(())),
        Some(known) if known.uid == entry.uid && !known.has_failed() => None,
        _ => Some(Err(ApiError::sandbox_not_found(entry.id.as_str()))),
    });
    let late = || {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the sandbox did not pause in time",
        )
    };
    tokio::time::timeout(CHANGE_LIMIT, paused)
        .await
        .map_err(|_| late())?
}
