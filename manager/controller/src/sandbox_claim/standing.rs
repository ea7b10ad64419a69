//! Judges a sandbox that belongs to the claim already; no IO.

use std::net::IpAddr;

use jiff::Timestamp;
use silica_api::crd::{
    Condition, ConditionStatus, PendingSandbox, Phase, Sandbox, SandboxClaimSpec, condition,
};
use silica_core::image;

use super::plan;

/// How far a sandbox is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// It accepts requests at this address.
    Ready(IpAddr),
    /// Not yet, for this reason.
    Waiting(String),
    /// It never will, or took too long.
    Failed(String),
}

/// Looks at a sandbox.
pub(super) fn standing(
    sandbox: &Sandbox,
    spec: &SandboxClaimSpec,
    pending: &PendingSandbox,
    now: Timestamp,
) -> Standing {
    let status = sandbox.status.as_ref();
    let phase = status.and_then(|status| status.phase);
    let message = status.and_then(|status| status.message.as_deref());
    if sandbox.metadata.deletion_timestamp.is_some() {
        return Standing::Failed("it was deleted".to_owned());
    }
    if matches!(phase, Some(Phase::Failed | Phase::Succeeded | Phase::Terminating)) {
        return Standing::Failed(message.unwrap_or("it ended").to_owned());
    }
    let conditions = status.map(|status| &*status.conditions).unwrap_or_default();
    let ready = conditions.iter().find(|one| one.kind == condition::READY);
    let has_image = has_image(sandbox);
    let is_ready = ready.is_some_and(|ready| ready.status == ConditionStatus::True);
    let address = status
        .and_then(|status| status.address())
        .and_then(|address| address.parse().ok());
    if let Some(address) = address
        && is_ready
        && has_image
        && phase == Some(Phase::Running)
    {
        return Standing::Ready(address);
    }
    let message = message.unwrap_or("its pod is not ready yet").to_owned();
    if ready.is_some_and(|ready| is_hopeless(ready, sandbox.spec.wanted_image().is_some())) {
        Standing::Failed(message)
    } else if plan::ready_by(spec, pending) <= now {
        let limit = std::time::Duration::from(spec.wait_ready_timeout);
        Standing::Failed(format!(
            "it was not ready within {} s: {message}",
            limit.as_secs()
        ))
    } else {
        Standing::Waiting(message)
    }
}

/// Whether the sandbox has the image that it wants, if it wants one.
fn has_image(sandbox: &Sandbox) -> bool {
    let Some(wanted) = sandbox.spec.wanted_image() else {
        return true;
    };
    let template = sandbox.spec.template.as_ref();
    let of_template = template.and_then(|template| image::of_template(&template.0));
    let confirmed = sandbox.status.as_ref().and_then(|status| status.image.as_deref());
    of_template == Some(wanted) || confirmed == Some(wanted)
}

/// Whether waiting does not help: a volume that was asked for cannot be had, or with the image
/// that was asked for nothing starts.
fn is_hopeless(ready: &Condition, wants_image: bool) -> bool {
    let of_image = [condition::START_CONTAINER_FAILED, condition::IMAGE_CHANGE_FAILED];
    let by_image = wants_image && of_image.contains(&&*ready.reason);
    ready.status == ConditionStatus::False && (by_image || ready.reason == condition::VOLUME_MOUNT_FAILED)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    use super::{super::order::tests::claim, *};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn sandbox(spec: &Value, ready: &str, reason: &str) -> Sandbox {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a"}, "spec": spec,
            "status": {"phase": "Running", "message": "why", "podInfo": {"podIP": "10.0.0.1"}, "conditions": [
                {"type": "Ready", "status": ready, "reason": reason, "lastTransitionTime": at(0).to_string()}]},
        }))
        .unwrap()
    }

    fn judge(sandbox: &Sandbox, second: i64) -> Standing {
        let pending = PendingSandbox {
            name: "a".to_owned(),
            created: false,
            since: Time(at(0)),
        };
        standing(sandbox, &claim(&json!({})).spec, &pending, at(second))
    }

    #[test]
    fn a_ready_sandbox_is_ready_with_the_image_that_was_asked_for() {
        let address = Standing::Ready([10, 0, 0, 1].into());
        let waits = Standing::Waiting("why".to_owned());
        assert_eq!(judge(&sandbox(&json!({}), "True", "PodReady"), 0), address);
        let template = json!({"spec": {"containers": [{"image": "v1"}]}});
        let asking = |image: &str| json!({"template": template, "inplaceUpdate": {"image": image}});
        assert_eq!(judge(&sandbox(&asking("v1"), "True", "PodReady"), 0), address);
        let mut other = sandbox(&asking("v2"), "True", "PodReady");
        assert_eq!(judge(&other, 0), waits);
        other.status.as_mut().unwrap().image = Some("v2".to_owned());
        assert_eq!(judge(&other, 0), address);
        assert_eq!(judge(&sandbox(&json!({}), "False", "PodReady"), 29), waits);
    }

    #[test]
    fn a_sandbox_fails_by_its_end_its_image_and_its_time() {
        let failed = |sandbox: &Sandbox, second| matches!(judge(sandbox, second), Standing::Failed(_));
        let starting = sandbox(&json!({}), "False", condition::START_CONTAINER_FAILED);
        assert!(!failed(&starting, 29), "it may recover");
        let Standing::Failed(message) = judge(&starting, 30) else {
            panic!("it is late");
        };
        assert_eq!(message, "it was not ready within 30 s: why");
        let image = json!({"inplaceUpdate": {"image": "v2"}});
        assert!(failed(
            &sandbox(&image, "False", condition::START_CONTAINER_FAILED),
            0
        ));
        assert!(failed(
            &sandbox(&json!({}), "False", condition::VOLUME_MOUNT_FAILED),
            0
        ));
        for phase in [Phase::Failed, Phase::Succeeded, Phase::Terminating] {
            let mut ended = sandbox(&json!({}), "True", "PodReady");
            ended.status.as_mut().unwrap().phase = Some(phase);
            assert!(failed(&ended, 0));
        }
        let mut leaving = sandbox(&json!({}), "True", "PodReady");
        leaving.metadata.deletion_timestamp = Some(Time(at(0)));
        assert!(failed(&leaving, 0));
        assert_eq!(
            judge(&Sandbox::default(), 0),
            Standing::Waiting("its pod is not ready yet".to_owned())
        );
    }
}
