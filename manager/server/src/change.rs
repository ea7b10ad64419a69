//! Changes to a claimed sandbox: its deadline, and its way back from a pause.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use silica_core::{chain::Chain, state::State, timeout::Timeout};

use crate::{
    error::ApiError, initialise::initialise, objects, ready::wait_until_up, state::App, store::Entry,
};

/// Longest wait for a pause or a resume: SDKs give up after a minute.
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(55);
/// Most tries to write a change that depends on what is there: the controller and other
/// replicas write too, but not without end.
const MAX_TRIES: u32 = 10;

/// Merges what `choose` makes of the sandbox into its `spec`; nothing leaves it as it is. The
/// write holds for the version that was looked at: when there is a newer one `choose` sees
/// that. Returns the sandbox as it is then.
pub(crate) async fn change(
    app: &App,
    entry: &Arc<Entry>,
    choose: impl Fn(&Entry) -> Option<Value>,
) -> Result<Arc<Entry>, ApiError> {
    let not_found = || ApiError::sandbox_not_found(entry.id.as_str());
    let mut known = Arc::clone(entry);
    for _ in 0..MAX_TRIES {
        let Some(spec) = choose(&known) else {
            return Ok(known);
        };
        let patch = json!({ "spec": spec });
        if let Some(written) = objects::write_unchanged(app, &known, patch).await? {
            app.store.wait_shown(&written).await;
            return Ok(written);
        }
        known = objects::read(app, entry).await?.ok_or_else(not_found)?;
        if known.state(Timestamp::now()).is_none() {
            return Err(not_found());
        }
    }
    Err(ApiError::new(
        StatusCode::CONFLICT,
        "the sandbox changed again and again at the same time",
    ))
}

/// The fields of `spec` for a timeout that begins now.
pub(crate) fn deadline(entry: &Entry, timeout: Timeout) -> Value {
    entry
        .on_timeout
        .render_deadline(Some(timeout.deadline(Timestamp::now())))
}

/// Writes the deadline unless the sandbox lives long enough already, or is no longer running.
pub(crate) async fn extend(app: &App, entry: &Arc<Entry>, timeout: Timeout) -> Result<Arc<Entry>, ApiError> {
    change(app, entry, |known| extension(known, timeout)).await
}

/// Resumes a paused sandbox and waits until it accepts requests. Calls at the same time share
/// one resumption, and a caller that goes away does not leave half of one behind.
pub(crate) async fn resume(
    app: &Arc<App>,
    entry: &Arc<Entry>,
    timeout: Timeout,
) -> Result<Arc<Entry>, ApiError> {
    let (app, entry) = (Arc::clone(app), Arc::clone(entry));
    let resumption = tokio::spawn(async move {
        let _turn = app.resumptions.lock(entry.id.as_str()).await;
        let known = app.store.find(entry.id.as_str());
        let known = known.filter(|known| known.uid == entry.uid).unwrap_or(entry);
        if known.is_up(Timestamp::now()) {
            return extend(&app, &known, timeout).await;
        }
        resume_alone(&app, &known, timeout).await
    });
    resumption.await.unwrap_or_else(|_| {
        Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the resumption broke off",
        ))
    })
}

async fn resume_alone(app: &App, entry: &Arc<Entry>, timeout: Timeout) -> Result<Arc<Entry>, ApiError> {
    let meanwhile = deadline_meanwhile(timeout, Timestamp::now());
    change(app, entry, |known| resumption(known, timeout, meanwhile)).await?;
    let up = wait_until_up(app, entry, CHANGE_LIMIT).await?;
    let up = change(app, &up, |known| settlement(known, timeout, meanwhile)).await?;
    if let Err(error) = initialise(app, &up).await {
        tracing::warn!(error = %Chain(&error), sandbox = %up.id, "failed to initialise a resumed sandbox");
        return Err(error.into());
    }
    Ok(up)
}

/// What makes a running sandbox live long enough.
fn extension(known: &Entry, timeout: Timeout) -> Option<Value> {
    let now = Timestamp::now();
    let is_running = known.state(now) == Some(State::Running);
    let longer = timeout.extension(now, known.deadline()).filter(|_| is_running);
    longer.map(|_| deadline(known, timeout))
}

/// The deadline of a sandbox that is on its way back: the timeout begins when it is up, and a short
/// one must not pause it again before that. In whole seconds, to be known again.
fn deadline_meanwhile(timeout: Timeout, now: Timestamp) -> Timestamp {
    let latest = timeout.deadline(now) + CHANGE_LIMIT;
    Timestamp::from_second(latest.as_second()).unwrap_or(latest)
}

/// What makes the timeout of a resumed sandbox begin. Whoever has written another deadline
/// meanwhile has wanted that; it is made longer where that is needed.
fn settlement(known: &Entry, timeout: Timeout, meanwhile: Timestamp) -> Option<Value> {
    if known.deadline() == Some(meanwhile) {
        Some(deadline(known, timeout))
    } else {
        extension(known, timeout)
    }
}

/// What resumes the sandbox. When another replica has asked for that already the deadline of
/// that call counts, if it is the longer one.
fn resumption(known: &Entry, timeout: Timeout, meanwhile: Timestamp) -> Option<Value> {
    if !known.facts.pause_asked && (known.deadline().is_some() || known.never_timeout) {
        let longer = timeout.extension(Timestamp::now(), known.deadline());
        return longer.map(|_| deadline(known, timeout));
    }
    let mut spec = if known.never_timeout {
        json!({})
    } else {
        known.on_timeout.render_deadline(Some(meanwhile))
    };
    spec["paused"] = json!(false);
    Some(spec)
}

#[cfg(test)]
mod tests {
    use silica_api::{crd::Sandbox, labels};

    use super::*;

    fn entry(annotations: &Value, mut spec: Value, phase: &str) -> Entry {
        spec["template"] = json!({});
        let sandbox: Sandbox = serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a", "namespace": "default", "uid": "u", "resourceVersion": "1",
                "labels": {labels::CLAIMED: "true"}, "annotations": annotations},
            "spec": spec, "status": {"phase": phase, "podInfo": {"podIP": "10.0.0.1"}},
        }))
        .unwrap();
        Entry::new(sandbox).unwrap()
    }

    fn in_seconds(seconds: i64) -> String {
        Timestamp::from_second(Timestamp::now().as_second() + seconds)
            .unwrap()
            .to_string()
    }

    fn minute() -> Timeout {
        Timeout::new(60, 3600).unwrap()
    }

    #[test]
    fn a_life_is_made_longer_and_never_shorter() {
        let running = |seconds| {
            entry(
                &json!({}),
                json!({"shutdownTime": in_seconds(seconds)}),
                "Running",
            )
        };
        assert!(extension(&running(10), minute()).unwrap()["shutdownTime"].is_string());
        assert_eq!(extension(&running(600), minute()), None);
        let paused = json!({"paused": true});
        assert_eq!(extension(&entry(&json!({}), paused, "Paused"), minute()), None);
    }

    #[test]
    fn a_second_resumption_changes_nothing_but_a_shorter_deadline() {
        let on_pause = json!({labels::ON_TIMEOUT: "pause"});
        let later = deadline_meanwhile(minute(), Timestamp::now());
        let resumption = |known: &Entry| resumption(known, minute(), later);
        let spec = resumption(&entry(&on_pause, json!({"paused": true}), "Paused")).unwrap();
        assert_eq!(
            (&spec["paused"], &spec["shutdownTime"]),
            (&json!(false), &Value::Null)
        );
        assert!(spec["pauseTime"].is_string(), "the next timeout pauses again");

        let resumed = |seconds| entry(&on_pause, json!({"pauseTime": in_seconds(seconds)}), "Paused");
        assert_eq!(resumption(&resumed(600)), None);
        let longer = resumption(&resumed(10)).unwrap();
        assert!(longer["pauseTime"].is_string() && longer.get("paused").is_none());

        let forever = json!({labels::NEVER_TIMEOUT: "true"});
        let spec = resumption(&entry(&forever, json!({"paused": true}), "Paused"));
        assert_eq!(spec, Some(json!({"paused": false})));
    }

    #[test]
    fn a_timeout_begins_when_a_resumed_sandbox_is_up() {
        let on_pause = json!({labels::ON_TIMEOUT: "pause"});
        let now = Timestamp::now();
        let later = deadline_meanwhile(minute(), now);
        assert!(later > minute().deadline(now), "a slow start is no end");
        let up = |end: Timestamp| entry(&on_pause, json!({"pauseTime": end.to_string()}), "Running");
        let settled = settlement(&up(later), minute(), later).unwrap();
        let end: Timestamp = settled["pauseTime"].as_str().unwrap().parse().unwrap();
        assert!(end < later);
        let others = later + Duration::from_mins(10);
        assert_eq!(settlement(&up(others), minute(), later), None);
    }
}
