//! `POST /v2/sandboxes` and `POST /sandboxes`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use silica_core::{
    claim::OnTimeout,
    metadata::Metadata,
    sealed,
    timeout::{DEFAULT_SECONDS, DEFAULT_SECONDS_V1, Timeout},
};

use super::{input::Payload, templates, view};
use crate::{
    auth::Caller,
    claim::{Order, claim},
    dispatch::RequestDomain,
    error::{ApiError, json_response},
    idempotency,
    state::App,
};

/// Body of both versions; fields that nobody knows are ignored, as SDKs add some
/// with every release.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    #[serde(rename = "templateID")]
    template_id: Option<String>,
    timeout: Option<i64>,
    auto_pause: Option<bool>,
    auto_pause_memory: Option<bool>,
    auto_resume: Option<AutoResume>,
    #[serde(rename = "allow_internet_access")]
    allow_internet_access: Option<bool>,
    network: Option<BTreeMap<String, Value>>,
    metadata: Option<BTreeMap<String, String>>,
    env_vars: Option<BTreeMap<String, String>>,
    iam: Option<Value>,
    volume_mounts: Option<Vec<Value>>,
    secure: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
struct AutoResume {
    #[serde(default)]
    enabled: bool,
}

/// The two versions of the route differ in defaults.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    V1,
    V2,
}

pub(super) async fn v1(
    State(app): State<Arc<App>>,
    caller: Caller,
    domain: RequestDomain,
    headers: HeaderMap,
    body: Payload<Body>,
) -> Result<Response, ApiError> {
    create(app, caller, domain, &headers, body, Version::V1).await
}

pub(super) async fn v2(
    State(app): State<Arc<App>>,
    caller: Caller,
    domain: RequestDomain,
    headers: HeaderMap,
    body: Payload<Body>,
) -> Result<Response, ApiError> {
    create(app, caller, domain, &headers, body, Version::V2).await
}

async fn create(
    app: Arc<App>,
    caller: Caller,
    RequestDomain(domain): RequestDomain,
    headers: &HeaderMap,
    Payload { value: body, bytes }: Payload<Body>,
    version: Version,
) -> Result<Response, ApiError> {
    let template = body.template_id.clone().filter(|name| !name.is_empty());
    let template = template.ok_or_else(|| ApiError::bad_request("templateID is required"))?;
    let mut order = body.into_order(&caller, version, app.config.max_timeout)?;
    let set =
        templates::find(&app, &caller, &template).ok_or_else(|| ApiError::template_not_found(&template))?;
    let entry = match idempotency_key(headers)? {
        Some(key) => {
            order.idempotency = Some(idempotency::hash(&caller.team, key, &bytes));
            idempotency::claim_once(&app, &set, order).await?
        }
        None => claim(&app, &set, order).await?,
    };
    app.store.wait_shown(&entry).await;
    Ok(json_response(
        StatusCode::CREATED,
        &view::session(&app, &entry, &domain),
    ))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=idempotency::MAX_KEY).contains(&key.len()) => Ok(Some(key)),
        _ => Err(ApiError::bad_request(
            "Idempotency-Key must have 1 to 255 visible ASCII characters",
        )),
    }
}

impl Body {
    /// Checks what the client wants. What this server cannot honour and what would
    /// change security or persistence is refused; the rest is ignored.
    fn into_order(self, caller: &Caller, version: Version, max_timeout: i64) -> Result<Order, ApiError> {
        let default = if version == Version::V1 {
            DEFAULT_SECONDS_V1
        } else {
            DEFAULT_SECONDS
        };
        let timeout = Timeout::new(self.timeout.unwrap_or(default), max_timeout)?;
        let Metadata { extensions, user } = Metadata::parse(self.metadata.unwrap_or_default())?;
        let auto_pause = self.auto_pause.unwrap_or(false);
        for (asked, text) in [
            (
                self.auto_pause_memory == Some(false),
                "autoPauseMemory: false is not supported",
            ),
            (
                self.allow_internet_access == Some(false),
                "allow_internet_access: false is not supported",
            ),
            (
                self.iam.is_some_and(|iam| !is_empty(&iam)),
                "iam is not supported",
            ),
            (
                self.volume_mounts.is_some_and(|mounts| !mounts.is_empty()),
                "volumeMounts are not supported: use metadata e2b.agents.kruise.io/csi-volume-config, or declare volumes in \
                 the SandboxSet",
            ),
            (
                auto_pause && extensions.never_timeout,
                "autoPause and never-timeout exclude each other: without a timeout nothing pauses",
            ),
        ] {
            if asked {
                return Err(ApiError::bad_request(text));
            }
        }
        let secure = version == Version::V2 || self.secure.unwrap_or(true);
        let private_traffic = private_traffic(self.network.unwrap_or_default())?;
        if private_traffic && !secure {
            return Err(ApiError::bad_request(
                "network.allowPublicTraffic: false needs secure: true",
            ));
        }
        let env = self.env_vars.unwrap_or_default();
        sealed::check(&env)?;
        Ok(Order {
            team: caller.team.clone(),
            timeout: (!extensions.never_timeout).then_some(timeout),
            on_timeout: if auto_pause {
                OnTimeout::Pause
            } else {
                OnTimeout::Kill
            },
            auto_resume: self
                .auto_resume
                .is_some_and(|resume| resume.enabled)
                .then_some(timeout),
            metadata: user,
            extensions,
            env,
            secure,
            private_traffic,
            idempotency: None,
        })
    }
}

/// Reads the network object; all but `allowPublicTraffic` is refused unless empty.
fn private_traffic(network: BTreeMap<String, Value>) -> Result<bool, ApiError> {
    let mut private = false;
    for (key, value) in network {
        if key == "allowPublicTraffic" {
            private = value == Value::Bool(false);
        } else if !is_empty(&value) {
            return Err(ApiError::bad_request(format!("network.{key} is not supported")));
        }
    }
    Ok(private)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use silica_core::sealed::MAX_ENV;

    use super::*;

    fn order(body: Value, version: Version) -> Result<Order, ApiError> {
        let caller = Caller {
            team: "team-a".into(),
        };
        serde_json::from_value::<Body>(body)
            .unwrap()
            .into_order(&caller, version, 3600)
    }

    #[test]
    fn the_python_sdks_minimal_body_is_accepted() {
        let order = order(
            json!({"templateID": "base", "metadata": {}, "envVars": {}}),
            Version::V2,
        )
        .unwrap();
        assert_eq!(order.timeout, Some(Timeout::new(300, 3600).unwrap()));
        assert!(order.secure && !order.private_traffic);
    }

    #[test]
    fn old_versions_may_open_the_daemon_and_have_a_shorter_default() {
        let order = order(json!({"templateID": "base", "secure": false}), Version::V1).unwrap();
        assert!(!order.secure);
        assert_eq!(order.timeout, Some(Timeout::new(15, 3600).unwrap()));
        assert!(
            super::tests::order(json!({"secure": false}), Version::V2)
                .unwrap()
                .secure
        );
    }

    #[test]
    fn timeouts_are_checked_and_never_timeout_has_none() {
        for bad in [0, -5, 3601] {
            assert!(order(json!({"timeout": bad}), Version::V2).is_err(), "{bad}");
        }
        let metadata = json!({"e2b.agents.kruise.io/never-timeout": "true"});
        assert_eq!(
            order(json!({"metadata": metadata}), Version::V2).unwrap().timeout,
            None
        );
    }

    #[test]
    fn a_sandbox_that_traffic_resumes_remembers_its_timeout() {
        let body = json!({"timeout": 60, "autoPause": true, "autoResume": {"enabled": true}});
        let asked = order(body, Version::V2).unwrap();
        assert_eq!(asked.auto_resume.map(Timeout::seconds), Some(60));
        let silent = order(json!({"autoPause": true}), Version::V2).unwrap();
        assert_eq!(silent.auto_resume, None);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_and_the_unknown_ignored() {
        for refused in [
            json!({"autoPauseMemory": false}),
            json!({"allow_internet_access": false}),
            json!({"iam": {"tokens": {"a": {}}}}),
            json!({"volumeMounts": [{"name": "a", "path": "/a"}]}),
            json!({"network": {"denyOut": ["0.0.0.0/0"]}}),
            json!({"network": {"egressProxy": {"address": "x"}}}),
            json!({"envVars": {"A=B": "1"}}),
            json!({"envVars": {"A": "x".repeat(MAX_ENV)}}),
        ] {
            assert!(order(refused.clone(), Version::V2).is_err(), "{refused}");
        }
        for accepted in [
            json!({"autoPause": false, "autoResume": {"enabled": false}, "allow_internet_access": true}),
            json!({"network": {"allowOut": [], "maskRequestHost": null}, "somethingNew": 1, "mcp": {}}),
        ] {
            assert!(order(accepted.clone(), Version::V2).is_ok(), "{accepted}");
        }
    }

    #[test]
    fn private_traffic_needs_a_secure_sandbox() {
        let body = json!({"network": {"allowPublicTraffic": false}, "secure": false});
        assert!(order(body.clone(), Version::V1).is_err());
        assert!(order(body, Version::V2).unwrap().private_traffic);
    }
}
