//! Sandboxes as the API shows them. Absent fields are left out, never null:
//! generated clients crash on some nulls.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use silica_core::{
    contract::{CLIENT_ID, END_OF_NEVER, ENVD_VERSION},
    state::State,
    timeout,
};

use crate::{state::App, store::Entry};

/// Answer of create, connect and resume.
pub(super) fn session(app: &App, entry: &Entry, domain: &str) -> Value {
    let mut view = identity(entry);
    view.insert("domain".to_owned(), json!(domain));
    insert_tokens(app, entry, &mut view);
    Value::Object(view)
}

/// Answer of get.
pub(super) fn detail(app: &App, entry: &Entry, state: State, domain: &str) -> Value {
    let mut view = listed_fields(entry, state);
    view.insert("domain".to_owned(), json!(domain));
    view.insert(
        "lifecycle".to_owned(),
        json!({ "autoResume": entry.auto_resume.is_some(), "onTimeout": entry.on_timeout.as_str() }),
    );
    insert_tokens(app, entry, &mut view);
    Value::Object(view)
}

/// Entry of a list.
pub(super) fn listed(entry: &Entry, state: State) -> Value {
    Value::Object(listed_fields(entry, state))
}

fn identity(entry: &Entry) -> Map<String, Value> {
    let Value::Object(view) = json!({
        "templateID": entry.template,
        "alias": entry.template,
        "sandboxID": entry.id.as_str(),
        "clientID": CLIENT_ID,
        "envdVersion": ENVD_VERSION,
    }) else {
        return Map::new();
    };
    view
}

fn listed_fields(entry: &Entry, state: State) -> Map<String, Value> {
    let mut view = identity(entry);
    let fields = [
        ("startedAt", json!(timeout::format(entry.started_at))),
        ("endAt", json!(end_at(entry, state))),
        ("cpuCount", json!(entry.resources.cpu_count)),
        ("memoryMB", json!(entry.resources.memory_mib)),
        ("diskSizeMB", json!(entry.resources.disk_mib)),
        ("state", json!(state.as_str())),
        ("metadata", json!(entry.metadata)),
    ];
    view.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    view
}

/// End of the timeout; of a paused sandbox the moment of pausing.
fn end_at(entry: &Entry, state: State) -> String {
    let end = match state {
        State::Paused => entry
            .paused_at
            .or_else(|| entry.deadline())
            .or_else(|| Some(Timestamp::now())),
        State::Running => entry.deadline(),
    };
    end.map_or_else(|| END_OF_NEVER.to_owned(), timeout::format)
}

fn insert_tokens(app: &App, entry: &Entry, view: &mut Map<String, Value>) {
    let key = &app.config.token_key;
    if entry.secure {
        view.insert("envdAccessToken".to_owned(), json!(key.envd_token(&entry.uid)));
    }
    if entry.private_traffic {
        view.insert(
            "trafficAccessToken".to_owned(),
            json!(key.traffic_token(&entry.uid)),
        );
    }
}
