//! Waiting for a sandbox that the controller has work with: one that is new or
//! resumed, or one whose image changes.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use jiff::Timestamp;

use crate::{error::ApiError, state::App, store::Entry};

/// What a sandbox is on its way to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Start<'a> {
    /// Its first run, with this image if one is named. What does not start the first time is
    /// broken.
    New { image: Option<&'a str> },
    /// A run after one that went well: what keeps it from starting may pass.
    Again,
}

impl<'a> Start<'a> {
    fn image(self) -> Option<&'a str> {
        match self {
            Self::New { image } => image,
            Self::Again => None,
        }
    }
}

/// Waits until a resumed sandbox accepts requests.
pub(crate) async fn wait_until_up(app: &App, entry: &Entry, limit: Duration) -> Result<Arc<Entry>, ApiError> {
    wait_until(app, entry, Start::Again, limit).await
}

/// Waits until the sandbox accepts requests.
pub(crate) async fn wait_until(
    app: &App,
    entry: &Entry,
    start: Start<'_>,
    limit: Duration,
) -> Result<Arc<Entry>, ApiError> {
    let judge = |known: Option<&Arc<Entry>>| {
        let known = known.filter(|known| known.uid == entry.uid);
        judge(known, start, Timestamp::now())
    };
    let with = start
        .image()
        .map_or_else(String::new, |image| format!(" with image {image:?}"));
    match tokio::time::timeout(limit, app.store.wait_until(entry.id.as_str(), judge)).await {
        Ok(Ok(entry)) => Ok(entry),
        Ok(Err(Failed::Volume(message))) => Err(ApiError::bad_request(format!(
            "the sandbox cannot mount its volumes: {message}"
        ))),
        Ok(Err(Failed::Start(message))) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!(
                "the sandbox failed to start{with}: {}",
                message.as_deref().unwrap_or("it was deleted")
            ),
        )),
        Err(_) => {
            let known = app.store.find(entry.id.as_str());
            let why = known.and_then(|known| known.message.as_ref().map(|message| format!(": {message}")));
            Err(ApiError::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!(
                    "the sandbox was not ready within {} seconds{with}{}",
                    limit.as_secs(),
                    why.unwrap_or_default()
                ),
            )
            .without_retry())
        }
    }
}

/// Why the sandbox will not become ready.
#[derive(Debug, Eq, PartialEq)]
enum Failed {
    /// It ended, or does not start, for this reason if there is one.
    Start(Option<Box<str>>),
    /// A volume that was asked for is not there for it.
    Volume(Box<str>),
}

/// How the wait ends, nothing as long as it goes on.
fn judge(known: Option<&Arc<Entry>>, start: Start<'_>, now: Timestamp) -> Option<Result<Arc<Entry>, Failed>> {
    let Some(known) = known else {
        return Some(Err(Failed::Start(None)));
    };
    let has_image = start
        .image()
        .is_none_or(|image| known.image.as_deref() == Some(image));
    if known.is_up(now) && has_image {
        Some(Ok(Arc::clone(known)))
    } else if known.has_volume_failure {
        Some(Err(Failed::Volume(known.message.clone().unwrap_or_default())))
    } else if known.has_failed() || (start != Start::Again && known.has_start_failure) {
        Some(Err(Failed::Start(known.message.clone())))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use silica_api::{
        crd::{Sandbox, condition},
        labels,
    };

    use super::*;

    fn entry(ready: &str, reason: &str, image: Option<&str>) -> Arc<Entry> {
        let mut status: Value = json!({
            "phase": "Running", "podInfo": {"podIP": "10.0.0.1"}, "message": "why",
            "conditions": [{"type": "Ready", "status": ready, "reason": reason,
                "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        });
        if let Some(image) = image {
            status["image"] = json!(image);
        }
        let sandbox: Sandbox = serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a", "namespace": "default", "uid": "u", "resourceVersion": "1",
                "labels": {labels::CLAIMED: "true"}},
            "spec": {"template": {}}, "status": status,
        }))
        .unwrap();
        Arc::new(Entry::new(sandbox).unwrap())
    }

    fn ends(known: &Arc<Entry>, image: Option<&str>) -> Option<bool> {
        judge(Some(known), Start::New { image }, Timestamp::now()).map(|end| end.is_ok())
    }

    #[test]
    fn a_ready_sandbox_ends_the_wait_only_with_the_image_that_was_asked_for() {
        let warm = entry("True", condition::POD_READY, None);
        assert_eq!(ends(&warm, None), Some(true));
        assert_eq!(
            ends(&warm, Some("v2")),
            None,
            "the controller has not seen the claim"
        );
        assert_eq!(
            ends(&entry("True", condition::POD_READY, Some("v1")), Some("v2")),
            None
        );
        assert_eq!(
            ends(&entry("False", condition::IMAGE_CHANGING, None), Some("v2")),
            None
        );
        assert_eq!(
            ends(&entry("True", condition::POD_READY, Some("v2")), Some("v2")),
            Some(true)
        );
    }

    #[test]
    fn a_bad_image_or_template_ends_the_wait_at_once_with_the_reason() {
        for reason in [
            condition::START_CONTAINER_FAILED,
            condition::IMAGE_CHANGE_FAILED,
            condition::INVALID_TEMPLATE,
            condition::POD_CREATE_FAILED,
        ] {
            let stuck = entry("False", reason, None);
            for image in [None, Some("v2")] {
                let end = judge(Some(&stuck), Start::New { image }, Timestamp::now()).unwrap();
                assert_eq!(end.err(), Some(Failed::Start(Some("why".into()))));
            }
            let resumed = judge(Some(&stuck), Start::Again, Timestamp::now());
            assert!(resumed.is_none(), "what has run before may recover");
        }
    }

    #[test]
    fn a_sandbox_that_is_gone_ends_the_wait() {
        let end = judge(None, Start::Again, Timestamp::now()).unwrap();
        assert_eq!(end.err(), Some(Failed::Start(None)));
    }

    #[test]
    fn a_volume_that_cannot_be_mounted_ends_the_wait_as_the_clients_fault() {
        let stuck = entry("False", condition::VOLUME_MOUNT_FAILED, None);
        let end = judge(Some(&stuck), Start::New { image: None }, Timestamp::now()).unwrap();
        assert_eq!(end.err(), Some(Failed::Volume("why".into())));
    }
}
