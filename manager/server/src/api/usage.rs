//! Resource usage. The in-sandbox daemon keeps the samples of its last hour; nothing is
//! recorded here.

use std::sync::Arc;

use axum::{extract::State as Shared, response::Response};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use silica_api::types::SandboxId;
use silica_core::{chain::Chain, resources::Resources, state::State, timeout};
use silica_runtime_api::{METRICS_STEP_SECONDS, Usage};

use super::{
    input::{Id, Query},
    lifecycle::find,
};
use crate::{
    auth::Caller,
    daemon,
    error::{ApiError, json_response},
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
    let window = Window {
        claimed: entry.started_at.as_second(),
        start: bound("start")?,
        end: bound("end")?,
    };
    let usages = if state == State::Running {
        read(&entry, daemon::read_usage_history(&app, &entry).await).unwrap_or_default()
    } else {
        Vec::new()
    };
    let samples: Vec<Value> = usages
        .iter()
        .filter(|usage| window.contains(usage.ts))
        .filter_map(|usage| render(usage, &entry.resources))
        .collect();
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
        if state != State::Running {
            return None;
        }
        let usage = read(&entry, daemon::read_usage(&app, &entry).await)?;
        Some((id.to_string(), render(&usage, &entry.resources)?))
    }))
    .await;
    let samples: Map<String, Value> = samples.into_iter().flatten().collect();
    Ok(json_response(StatusCode::OK, &json!({ "sandboxes": samples })))
}

/// The time that samples are wanted of, in Unix seconds.
struct Window {
    /// What was used before belongs to the pool.
    claimed: i64,
    start: Option<i64>,
    end: Option<i64>,
}

impl Window {
    /// A sample stands for the seconds before it, some of which may lie in the window.
    fn contains(&self, time: i64) -> bool {
        let step = i64::from(METRICS_STEP_SECONDS);
        self.claimed <= time
            && self.start.is_none_or(|start| start <= time)
            && self.end.is_none_or(|end| time <= end.saturating_add(step))
    }
}

/// What the daemon answered; without an answer there are no samples, which is no error.
fn read<T>(entry: &Entry, answer: Result<T, daemon::Error>) -> Option<T> {
    answer
        .inspect_err(|error| {
            tracing::debug!(error = %Chain(error), sandbox = %entry.id, "no resource usage");
        })
        .ok()
}

/// A sample against the limits of the sandbox: those that the kernel enforces, else those of the template,
/// which the other answers of the API show as well. A whole node is nobody's limit.
fn render(usage: &Usage, template: &Resources) -> Option<Value> {
    const MIB: u64 = 1024 * 1024;
    let cpu_count = if usage.cpu_limited {
        usage.cpu_count.max(1)
    } else {
        template.cpu_count
    };
    let mem_total = if usage.mem_limited {
        usage.mem_total
    } else {
        template.memory_mib * MIB
    };
    let time = Timestamp::from_second(usage.ts).ok()?;
    Some(json!({
        "timestamp": timeout::format(time),
        "timestampUnix": usage.ts,
        "cpuCount": cpu_count,
        "cpuUsedPct": usage.cpu_used_pct,
        "memUsed": usage.mem_used,
        "memTotal": mem_total,
        "memCache": usage.mem_cache,
        "diskUsed": usage.disk_used,
        "diskTotal": template.disk_mib * MIB,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_starts_with_the_claim_and_has_a_step_to_spare() {
        let window = |start, end| Window {
            claimed: 1000,
            start,
            end,
        };
        let times = |window: Window| -> Vec<i64> {
            let times = [990, 1000, 1005, 1010, 1015].into_iter();
            times.filter(|time| window.contains(*time)).collect()
        };
        assert_eq!(times(window(None, None)), [1000, 1005, 1010, 1015]);
        assert_eq!(times(window(Some(1001), Some(1004))), [1005]);
        assert_eq!(times(window(Some(900), Some(950))), [0_i64; 0]);
        assert_eq!(times(window(Some(2000), None)), [0_i64; 0]);
    }

    #[test]
    fn sample_has_every_field_that_clients_read() {
        let usage: Usage = serde_json::from_str(
            r#"{"ts": 60, "cpu_count": 8, "cpu_used_pct": 1.5, "mem_total": 3, "mem_used": 2,
                "disk_used": 4, "disk_total": 5}"#,
        )
        .unwrap();
        let template = Resources {
            cpu_count: 1,
            memory_mib: 1024,
            disk_mib: 2048,
        };
        let mut expected = json!({
            "timestamp": "1970-01-01T00:01:00.000Z", "timestampUnix": 60, "cpuCount": 1, "cpuUsedPct": 1.5,
            "memUsed": 2, "memTotal": 1_u64 << 30, "memCache": 0, "diskUsed": 4, "diskTotal": 2_u64 << 30,
        });
        assert_eq!(
            render(&usage, &template),
            Some(expected.clone()),
            "the node's numbers are nobody's"
        );
        let limited = Usage {
            cpu_limited: true,
            mem_limited: true,
            ..usage
        };
        expected["cpuCount"] = json!(8);
        expected["memTotal"] = json!(3);
        assert_eq!(
            render(&limited, &template),
            Some(expected),
            "the kernel's limit counts first"
        );
    }
}
