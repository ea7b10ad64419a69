//! Resource usage. One sample, taken from the in-sandbox daemon at the time of
//! the call: nothing is recorded.

use std::sync::Arc;

use axum::{extract::State as Shared, response::Response};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use silica_api::types::SandboxId;
use silica_core::{state::State, timeout};

use super::{
    input::{Id, Query},
    lifecycle::find,
};
use crate::{
    auth::Caller,
    daemon,
    error::{ApiError, Chain, json_response},
    state::App,
    store::Entry,
};

/// Most sandboxes of one batch.
const MAX_BATCH: usize = 100;
/// Numbers above this are milliseconds: older SDKs send them.
const MILLISECONDS_ABOVE: i64 = 100_000_000_000;

pub(super) async fn of_one(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    query: Query,
) -> Result<Response, ApiError> {
    let (entry, state) = find(&app, &caller, &id).await?;
    let bound = |key| -> Result<Option<i64>, ApiError> {
        Ok(query.parse(key)?.map(|time| {
            if time > MILLISECONDS_ABOVE {
                time / 1000
            } else {
                time
            }
        }))
    };
    let (start, end) = (bound("start")?, bound("end")?);
    let mut samples = Vec::new();
    if state == State::Running
        && let Some((time, sample)) = read_sample(&app, &entry).await
        && start.is_none_or(|start| start <= time)
        && end.is_none_or(|end| time <= end)
    {
        samples.push(sample);
    }
    Ok(json_response(StatusCode::OK, &samples))
}

pub(super) async fn of_many(
    Shared(app): Shared<Arc<App>>,
    caller: Caller,
    query: Query,
) -> Result<Response, ApiError> {
    let ids: Vec<SandboxId> = query
        .all("sandbox_ids")
        .flat_map(|ids| ids.split(','))
        .filter_map(|id| id.parse().ok())
        .collect();
    if ids.len() > MAX_BATCH {
        return Err(ApiError::bad_request(
            "sandbox_ids may name 100 sandboxes at most",
        ));
    }
    let samples = futures::future::join_all(ids.iter().map(async |id| {
        let (entry, state) = find(&app, &caller, id).await.ok()?;
        let (_, sample) = if state == State::Running {
            read_sample(&app, &entry).await?
        } else {
            return None;
        };
        Some((id.to_string(), sample))
    }))
    .await;
    let samples: Map<String, Value> = samples.into_iter().flatten().collect();
    Ok(json_response(StatusCode::OK, &json!({ "sandboxes": samples })))
}

/// A sample and its time in Unix seconds.
async fn read_sample(app: &App, entry: &Entry) -> Option<(i64, Value)> {
    let usage = match daemon::read_usage(app, entry).await {
        Ok(usage) => usage,
        Err(error) => {
            tracing::debug!(error = %Chain(&error), sandbox = %entry.id, "no resource usage");
            return None;
        }
    };
    let time = Timestamp::from_second(usage.ts).ok()?;
    let sample = json!({
        "timestamp": timeout::format(time),
        "timestampUnix": usage.ts,
        "cpuCount": usage.cpu_count.max(1),
        "cpuUsedPct": usage.cpu_used_pct,
        "memUsed": usage.mem_used,
        "memTotal": usage.mem_total,
        "memCache": usage.mem_cache,
        "diskUsed": usage.disk_used,
        "diskTotal": usage.disk_total,
    });
    Some((usage.ts, sample))
}
