//! `GET /v2/sandboxes` and `GET /sandboxes`.

use std::sync::Arc;

use axum::{extract::State as Shared, response::Response};
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use silica_core::{
    cursor::{self, Cursor, MAX_LIMIT, Order},
    metadata::Filter,
    state::State,
};

use super::{input::Query, templates, view};
use crate::{
    auth::Caller,
    error::{ApiError, json_response},
    state::App,
    store::Entry,
};

/// Running sandboxes, all at once.
pub(super) async fn running(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    query: Query,
) -> Result<Response, ApiError> {
    let filter = Filter::parse(query.get("metadata").unwrap_or_default());
    let now = Timestamp::now();
    let mut entries = app.store.select(|entry| {
        entry.state(now) == Some(State::Running) && caller.owns(entry) && filter.matches(&entry.metadata)
    });
    entries.sort_by_cached_key(|entry| std::cmp::Reverse(place(entry)));
    let views: Vec<Value> = entries
        .iter()
        .map(|entry| view::listed(entry, State::Running))
        .collect();
    Ok(json_response(StatusCode::OK, &views))
}

/// Running and paused sandboxes, by page.
pub(super) async fn all(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    query: Query,
) -> Result<Response, ApiError> {
    let filter = Filter::parse(query.get("metadata").unwrap_or_default());
    let states = states(&query)?;
    let limit = limit(&query)?;
    let after = query.get("nextToken").map(Cursor::decode).transpose()?;
    let started_after: Option<Timestamp> = query.parse("startedAfter")?;
    let order = match query.get("order") {
        None | Some("desc") => Order::Descending,
        Some("asc") => Order::Ascending,
        Some(_) => return Err(ApiError::bad_request("order must be asc or desc")),
    };
    // The template may be gone while sandboxes of it live.
    let template = query.get("template").map(|name| {
        templates::find(&app, &caller, name).map_or_else(|| name.into(), |set| Arc::clone(&set.key.name))
    });

    let now = Timestamp::now();
    let own = app
        .store
        .select(|entry| entry.state(now).is_some() && caller.owns(entry));
    let running = own
        .iter()
        .filter(|entry| entry.state(now) == Some(State::Running))
        .count();
    let matching = own.into_iter().filter_map(|entry| {
        let state = entry.state(now)?;
        let matches = states.contains(&state)
            && filter.matches(&entry.metadata)
            && template
                .as_ref()
                .is_none_or(|template| *entry.template == **template)
            && started_after.is_none_or(|after| entry.started_at >= after);
        matches.then_some((entry, state))
    });
    let (page, next) = cursor::page(matching, |(entry, _)| place(entry), order, after.as_ref(), limit);
    let views: Vec<Value> = page
        .iter()
        .map(|(entry, state)| view::listed(entry, *state))
        .collect();
    let mut response = json_response(StatusCode::OK, &views);
    response
        .headers_mut()
        .insert("x-total-running", HeaderValue::from(running));
    if let Some(next) = next
        && let Ok(token) = HeaderValue::from_str(&next.encode())
    {
        response.headers_mut().insert("x-next-token", token);
    }
    Ok(response)
}

fn place(entry: &Arc<Entry>) -> Cursor {
    Cursor {
        started_at: entry.started_at,
        id: entry.id.as_str().to_owned(),
    }
}

/// The wanted states: a comma list, also over repeated keys.
fn states(query: &Query) -> Result<Vec<State>, ApiError> {
    let mut states = Vec::new();
    for word in query
        .all("state")
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let state = State::parse(word);
        states.push(state.ok_or_else(|| ApiError::bad_request("state must be running or paused"))?);
    }
    Ok(if states.is_empty() {
        vec![State::Running, State::Paused]
    } else {
        states
    })
}

fn limit(query: &Query) -> Result<usize, ApiError> {
    match query.parse("limit")? {
        None => Ok(MAX_LIMIT),
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        Some(_) => Err(ApiError::bad_request("limit must be between 1 and 100")),
    }
}
