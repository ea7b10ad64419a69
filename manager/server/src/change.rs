//! Changes to a claimed sandbox: its deadline, and its way back from a pause.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use jiff::Timestamp;
use kube::api::Patch;
use serde_json::{Value, json};
use silica_api::{crd::Phase, labels};
use silica_core::{sealed, timeout::Timeout};

use crate::{
    claim::{Chain, patch_params, sandboxes, wait_until_up},
    daemon,
    error::ApiError,
    state::App,
    store::Entry,
};

/// Longest wait for a pause or a resume: SDKs give up after a minute.
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(55);

/// Merges the patch into this very sandbox.
pub(crate) async fn write(app: &App, entry: &Entry, mut patch: Value) -> Result<Arc<Entry>, ApiError> {
    // The UID makes sure that it is still this sandbox.
    patch["metadata"] = json!({ "uid": &*entry.uid });
    match sandboxes(app, entry)
        .patch(entry.id.name(), &patch_params(), &Patch::Merge(patch))
        .await
    {
        Ok(object) => Entry::new(object)
            .map(|entry| app.store.apply(entry))
            .ok_or_else(|| ApiError::sandbox_not_found(entry.id.as_str())),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {
            Err(ApiError::sandbox_not_found(entry.id.as_str()))
        }
        Err(error) => Err(error.into()),
    }
}

/// The fields of `spec` for a timeout that begins now.
pub(crate) fn deadline(entry: &Entry, timeout: Timeout) -> Value {
    entry
        .on_timeout
        .render_deadline(Some(timeout.deadline(Timestamp::now())))
}

/// Writes the deadline unless the sandbox lives long enough already.
pub(crate) async fn extend(app: &App, entry: &Entry, timeout: Timeout) -> Result<(), ApiError> {
    if timeout.extension(Timestamp::now(), entry.deadline()).is_some() {
        write(app, entry, json!({ "spec": deadline(entry, timeout) })).await?;
    }
    Ok(())
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
            extend(&app, &known, timeout).await?;
            return Ok(known);
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

async fn resume_alone(app: &App, entry: &Entry, timeout: Timeout) -> Result<Arc<Entry>, ApiError> {
    // Another replica may be at it, or may have been: then its deadline counts.
    let is_asked = entry.facts.phase == Some(Phase::Resuming) && !entry.facts.pause_asked;
    if !is_asked {
        let mut spec = if entry.never_timeout {
            json!({})
        } else {
            deadline(entry, timeout)
        };
        spec["paused"] = json!(false);
        write(app, entry, json!({ "spec": spec })).await?;
    }
    let up = wait_until_up(app, entry, CHANGE_LIMIT).await?;
    let env = read_env(app, &up).await?;
    if let Err(error) = daemon::init(app, &up, &env).await {
        tracing::warn!(error = %Chain(&error), sandbox = %up.id, "failed to initialise a resumed sandbox");
        return Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the sandbox's runtime did not start",
        ));
    }
    Ok(up)
}

/// The environment variables of the create call, which the new pod does not have yet.
async fn read_env(app: &App, entry: &Entry) -> Result<sealed::Env, ApiError> {
    let object = sandboxes(app, entry).get_metadata(entry.id.name()).await?;
    let annotations = object.metadata.annotations.unwrap_or_default();
    let (Some(text), Some(lock)) = (annotations.get(labels::SEALED_ENV), annotations.get(labels::LOCK))
    else {
        return Ok(sealed::Env::new());
    };
    let env = sealed::open(&app.config.token_key, entry.id.as_str(), lock, text);
    Ok(env.unwrap_or_else(|| {
        tracing::warn!(sandbox = %entry.id, "environment variables were encrypted with another key and are lost");
        sealed::Env::new()
    }))
}
