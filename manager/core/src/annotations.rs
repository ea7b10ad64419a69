//! What the annotations of a Sandbox say, read and written by one type.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use silica_api::labels;

use crate::{on_timeout::OnTimeout, timeout};

/// The annotations of a claimed Sandbox that have a meaning for Silica.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Annotations {
    /// Team that owns the sandbox, or UID of its SandboxClaim.
    pub owner: Option<String>,
    /// Time of the claim, with milliseconds.
    pub claimed_at: Option<Timestamp>,
    /// Random id of the claim that won.
    pub lock: Option<String>,
    /// What happens at the end of the timeout.
    pub on_timeout: Option<OnTimeout>,
    /// Seconds of the timeout with which traffic resumes it; more than 0.
    pub auto_resume: Option<i64>,
    /// The user's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Hash of idempotency key and body.
    pub idempotency: Option<String>,
    /// All replicas know that it is the sandbox of that call.
    pub is_settled: bool,
    /// Encrypted environment variables, see [`crate::sealed`].
    pub sealed_env: Option<String>,
    /// Id of the main container that the claim initialised.
    pub initialised_container: Option<String>,
    /// The runtime is not to be called.
    pub skip_init: bool,
    /// No deadline was wanted.
    pub never_timeout: bool,
    /// Clients need a token for the runtime.
    pub secure: bool,
    /// Ports other than the runtime's need a traffic token.
    pub private_traffic: bool,
}

impl Default for Annotations {
    fn default() -> Self {
        Self::read(BTreeMap::new())
    }
}

impl Annotations {
    /// Reads them; a value that makes no sense counts as absent.
    pub fn read(mut found: BTreeMap<String, String>) -> Self {
        let is = |key: &str, value: &str| found.get(key).is_some_and(|text| text == value);
        Self {
            claimed_at: claimed_at(&found),
            on_timeout: found
                .get(labels::ON_TIMEOUT)
                .and_then(|text| OnTimeout::parse(text)),
            auto_resume: found
                .get(labels::AUTO_RESUME)
                .and_then(|seconds| seconds.parse().ok())
                .filter(|seconds| *seconds > 0),
            metadata: found
                .get(labels::USER_METADATA)
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
            is_settled: is(labels::IDEMPOTENCY_SETTLED, "true"),
            skip_init: is(labels::SKIP_INIT, "true"),
            never_timeout: is(labels::NEVER_TIMEOUT, "true"),
            secure: !is(labels::SECURE, "false"),
            private_traffic: is(labels::PRIVATE_TRAFFIC, "true"),
            owner: found.remove(labels::OWNER),
            lock: found.remove(labels::LOCK),
            idempotency: found.remove(labels::IDEMPOTENCY),
            sealed_env: found.remove(labels::SEALED_ENV),
            initialised_container: found.remove(labels::INITIALISED_CONTAINER),
        }
    }

    /// Writes them; what is the default is left out, but for the metadata.
    pub fn write(&self) -> BTreeMap<&'static str, String> {
        let flag = |on: bool, value: &str| on.then(|| value.to_owned());
        [
            (labels::OWNER, self.owner.clone()),
            (labels::CLAIM_TIMESTAMP, self.claimed_at.map(timeout::format)),
            (labels::LOCK, self.lock.clone()),
            (
                labels::ON_TIMEOUT,
                self.on_timeout.map(|what| what.as_str().to_owned()),
            ),
            (
                labels::AUTO_RESUME,
                self.auto_resume.map(|seconds| seconds.to_string()),
            ),
            (labels::USER_METADATA, Some(json!(self.metadata).to_string())),
            (labels::IDEMPOTENCY, self.idempotency.clone()),
            (labels::IDEMPOTENCY_SETTLED, flag(self.is_settled, "true")),
            (labels::SEALED_ENV, self.sealed_env.clone()),
            (labels::INITIALISED_CONTAINER, self.initialised_container.clone()),
            (labels::SKIP_INIT, flag(self.skip_init, "true")),
            (labels::NEVER_TIMEOUT, flag(self.never_timeout, "true")),
            (labels::SECURE, flag(!self.secure, "false")),
            (labels::PRIVATE_TRAFFIC, flag(self.private_traffic, "true")),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }

    /// The merge patch of `metadata.annotations` that notes which container was initialised.
    pub fn render_initialised(container: Option<&str>) -> Value {
        json!({ labels::INITIALISED_CONTAINER: container })
    }

    /// The merge patch that notes that all replicas have agreed on the sandbox.
    pub fn render_settled() -> Value {
        json!({ labels::IDEMPOTENCY_SETTLED: "true" })
    }

    /// The merge patch after which no repeated call finds the sandbox.
    pub fn render_forgotten() -> Value {
        json!({ labels::IDEMPOTENCY: null })
    }
}

/// [`Annotations::owner`] alone.
pub fn owner(found: &BTreeMap<String, String>) -> Option<&str> {
    found.get(labels::OWNER).map(String::as_str)
}

/// [`Annotations::claimed_at`] alone.
pub fn claimed_at(found: &BTreeMap<String, String>) -> Option<Timestamp> {
    found.get(labels::CLAIM_TIMESTAMP)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(written: BTreeMap<&'static str, String>) -> BTreeMap<String, String> {
        written
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn full() -> Annotations {
        Annotations {
            owner: Some("team-a".into()),
            claimed_at: Some("2026-01-02T03:04:05.678Z".parse().unwrap()),
            lock: Some("l1".into()),
            on_timeout: Some(OnTimeout::Pause),
            auto_resume: Some(60),
            metadata: BTreeMap::from([("user".into(), "ü \"x\"".into())]),
            idempotency: Some("h".into()),
            is_settled: true,
            sealed_env: Some("sealed".into()),
            initialised_container: Some("containerd://1".into()),
            skip_init: true,
            never_timeout: true,
            secure: false,
            private_traffic: true,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for annotations in [
            full(),
            Annotations::default(),
            Annotations {
                on_timeout: Some(OnTimeout::Kill),
                secure: true,
                ..full()
            },
        ] {
            let written = owned(annotations.write());
            assert_eq!(Annotations::read(written.clone()), annotations);
            assert_eq!(owner(&written), annotations.owner.as_deref());
            assert_eq!(claimed_at(&written), annotations.claimed_at);
        }
    }

    /// A key that is left out of one direction would be lost silently.
    #[test]
    fn every_annotation_is_written_and_read() {
        let written = owned(full().write());
        assert_eq!(written.len(), 14);
        for key in written.keys() {
            let mut without = written.clone();
            without.remove(key);
            assert_ne!(Annotations::read(without), full(), "{key} is not read");
        }
    }

    #[test]
    fn values_that_make_no_sense_count_as_absent() {
        let found = [
            (labels::CLAIM_TIMESTAMP, "yesterday"),
            (labels::AUTO_RESUME, "-1"),
            (labels::ON_TIMEOUT, "explode"),
            (labels::USER_METADATA, "{"),
            (labels::SECURE, "no"),
            (labels::SKIP_INIT, "yes"),
        ];
        let found = found.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(Annotations::read(found.into()), Annotations::default());
    }

    #[test]
    fn patches_are_what_is_read_later() {
        let apply = |patch: Value| {
            let mut all = owned(full().write());
            for (key, value) in patch.as_object().unwrap() {
                match value.as_str() {
                    Some(text) => all.insert(key.clone(), text.to_owned()),
                    None => all.remove(key),
                };
            }
            Annotations::read(all)
        };
        let initialised = apply(Annotations::render_initialised(Some("2")));
        assert_eq!(initialised.initialised_container.as_deref(), Some("2"));
        assert!(apply(Annotations::render_settled()).is_settled);
        assert_eq!(apply(Annotations::render_forgotten()).idempotency, None);
    }
}
