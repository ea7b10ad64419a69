//! Templates: every SandboxSet is one.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use silica_core::{contract::ENVD_VERSION, timeout};

use super::input::Segment;
use crate::{
    auth::Caller,
    error::{ApiError, json_response},
    state::App,
    store::{PoolKey, SetEntry},
};

/// Name that the code interpreter SDKs ask for, and the set that answers to it.
const INTERPRETER_ALIAS: (&str, &str) = ("code-interpreter-v1", "code-interpreter");
/// Namespace that is looked at first by callers who see all of them.
const FIRST_NAMESPACE: &str = "default";
/// Tag that may follow a name.
const DEFAULT_TAG: &str = ":default";

/// The set behind a template id: `<name>` or `<namespace>/<name>`.
pub(super) fn find(app: &App, caller: &Caller, template: &str) -> Option<Arc<SetEntry>> {
    let template = template.strip_suffix(DEFAULT_TAG).unwrap_or(template);
    let (namespace, name) = match template.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, template),
    };
    let by_name = |name: &str| match namespace {
        Some(namespace) => visible(app, caller, &PoolKey::new(namespace, name)),
        None if caller.is_admin() => visible(app, caller, &PoolKey::new(FIRST_NAMESPACE, name))
            .or_else(|| app.store.sets().into_iter().find(|set| *set.key.name == *name)),
        None => visible(app, caller, &PoolKey::new(&caller.team, name)),
    };
    let (alias, target) = INTERPRETER_ALIAS;
    by_name(name).or_else(|| if name == alias { by_name(target) } else { None })
}

fn visible(app: &App, caller: &Caller, key: &PoolKey) -> Option<Arc<SetEntry>> {
    app.store.find_set(key).filter(|set| caller.may_use(&set.key))
}

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Response {
    let sets = app.store.sets();
    let views: Vec<Value> = sets
        .iter()
        .filter(|set| caller.may_use(&set.key))
        .map(|set| render(set))
        .collect();
    json_response(StatusCode::OK, &views)
}

pub(super) async fn detail(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let set = find(&app, &caller, &id).ok_or_else(|| ApiError::template_not_found(&id))?;
    let mut view = render(&set);
    view["builds"] = json!([{
        "buildID": view["buildID"],
        "status": view["buildStatus"],
        "createdAt": view["createdAt"],
        "updatedAt": view["updatedAt"],
        "finishedAt": view["createdAt"],
        "cpuCount": view["cpuCount"],
        "memoryMB": view["memoryMB"],
        "diskSizeMB": view["diskSizeMB"],
        "envdVersion": ENVD_VERSION,
    }]);
    Ok(json_response(StatusCode::OK, &view))
}

pub(super) async fn alias(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segment(alias): Segment,
) -> Result<Response, ApiError> {
    let set = find(&app, &caller, &alias).ok_or_else(|| ApiError::template_not_found(&alias))?;
    Ok(json_response(
        StatusCode::OK,
        &json!({ "templateID": &*set.key.name, "public": true }),
    ))
}

fn render(set: &SetEntry) -> Value {
    let metadata = &set.set.metadata;
    let created = metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let created = timeout::format(created);
    let name = &*set.key.name;
    let mut aliases = vec![name];
    if name == INTERPRETER_ALIAS.1 {
        aliases.push(INTERPRETER_ALIAS.0);
    }
    json!({
        "templateID": name,
        "buildID": metadata.uid,
        "cpuCount": set.resources.cpu_count,
        "memoryMB": set.resources.memory_mib,
        "diskSizeMB": set.resources.disk_mib,
        "public": true,
        "aliases": aliases,
        "names": [format!("{}/{name}", set.key.namespace)],
        "createdAt": created,
        "updatedAt": created,
        "createdBy": null,
        "lastSpawnedAt": null,
        "spawnCount": 0,
        "buildCount": 1,
        "envdVersion": ENVD_VERSION,
        "buildStatus": "ready",
    })
}
