//! `SandboxClaim`: takes a number of sandboxes out of a pool, without the E2B API.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, core::Duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Condition, RuntimeRef};

/// What is claimed, and what becomes of it. Like a Job, a claim is carried out once.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "agents.kruise.io",
    version = "v1alpha1",
    kind = "SandboxClaim",
    plural = "sandboxclaims",
    shortname = "sbc",
    namespaced,
    status = "SandboxClaimStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name of a SandboxClaim may have 63 characters at most: its sandboxes carry it as a label"),
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Template","type":"string","jsonPath":".spec.templateName"}"#,
    printcolumn = r#"{"name":"Desired","type":"integer","jsonPath":".spec.replicas"}"#,
    printcolumn = r#"{"name":"Claimed","type":"integer","jsonPath":".status.claimedReplicas"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SandboxClaimSpec {
    /// Name of a SandboxSet of the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub template_name: String,
    /// How many sandboxes are claimed. It cannot be changed.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000), extend("x-kubernetes-validations" = [{
        "rule": "self == oldSelf", "message": "spec.replicas cannot be changed"}]))]
    pub replicas: i32,
    /// Longest time in which sandboxes are claimed, from the first look on.
    #[serde(default = "minute")]
    #[schemars(schema_with = "positive_duration")]
    pub claim_timeout: Duration,
    /// Longest time from the claim of a sandbox until it is ready.
    #[serde(default = "half_minute")]
    #[schemars(schema_with = "positive_duration")]
    pub wait_ready_timeout: Duration,
    /// A completed claim is deleted after this time, its sandboxes are not; a
    /// negative duration keeps it.
    #[serde(default = "hour")]
    #[schemars(schema_with = "any_duration")]
    pub ttl_after_completed: Duration,
    /// `spec.shutdownTime` of the sandboxes; without one they live until they are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_time: Option<Time>,
    /// Labels of the sandboxes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the sandboxes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Environment variables of everything that the sandboxes' daemon starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env_vars: BTreeMap<String, String>,
    /// Changes to the pods of the sandboxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inplace_update: Option<ClaimInplaceUpdate>,
    /// Volumes to mount. Such sandboxes are made for the claim: a running pod takes none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"]))]
    pub dynamic_volumes_mount: Vec<DynamicVolumeMount>,
    /// Runtimes that the sandboxes need. They come from the template: a claim whose
    /// template lacks one of them is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtimes: Vec<RuntimeRef>,
    /// A sandbox that did not become ready is kept, labelled
    /// `agents.kruise.io/reserved-failed-sandbox=true`, instead of deleted.
    #[serde(default)]
    pub reserve_failed_sandbox: bool,
    /// Whether sandboxes are made when the pool has none; otherwise the claim waits for the pool.
    #[serde(default = "yes")]
    pub create_on_no_stock: bool,
    /// Whether the daemon in the sandboxes is left alone.
    #[serde(default)]
    pub skip_init_runtime: bool,
}

/// Changes to the pods of claimed sandboxes.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimInplaceUpdate {
    /// See `Sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub image: Option<String>,
    /// Not supported: a claim that sets it completes with the reason `InvalidSpec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ClaimResources>,
}

/// CPU and memory, as in a container.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ClaimResources {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, serde_json::Value>,
}

/// One volume to mount.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicVolumeMount {
    /// A name of the mount, for people.
    #[serde(default, rename = "mountID", skip_serializing_if = "Option::is_none")]
    pub mount_id: Option<String>,
    /// PersistentVolume that is bound to a claim in the namespace.
    pub pv_name: String,
    /// Folder in the sandbox.
    pub mount_path: String,
    /// Folder of the volume; all of it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// Whether the sandbox cannot write.
    #[serde(default)]
    pub read_only: bool,
    /// Not supported: a claim that sets any completes with the reason `InvalidSpec`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Observed state of a claim.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxClaimStatus {
    /// Whether the claim is still at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ClaimPhase>,
    /// What it waits for or how it ended, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Sandboxes that were claimed and became ready. Those that were deleted later count, too.
    #[serde(default)]
    pub claimed_replicas: i32,
    /// Names of these sandboxes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub sandboxes: Vec<String>,
    /// Sandboxes that are being claimed. They are written down before they are touched, so
    /// that nothing is claimed twice whenever the controller dies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pending: Vec<PendingSandbox>,
    /// Random id of the controller that is at work. A successor writes its own before it does
    /// anything, so that no write of the former one, still on its way, can hold any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Sandboxes that were claimed and did not become ready.
    #[serde(default)]
    pub failed_replicas: i32,
    /// When the claim was first looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_start_time: Option<Time>,
    /// When it was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// `metadata.generation` that this status describes.
    #[serde(default)]
    pub observed_generation: i64,
    /// `Completed` and `TimedOut`, see [`super::condition`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Where a claim is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum ClaimPhase {
    /// Sandboxes are being claimed.
    Claiming,
    /// The claim is at its end, whether or not it got all; terminal.
    Completed,
}

/// A sandbox that is being claimed.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingSandbox {
    /// Its name.
    pub name: String,
    /// Whether it is made for the claim instead of taken from the pool.
    #[serde(default)]
    pub created: bool,
    /// Since when.
    pub since: Time,
}

fn one() -> i32 {
    1
}

fn yes() -> bool {
    true
}

fn half_minute() -> Duration {
    std::time::Duration::from_secs(30).into()
}

fn minute() -> Duration {
    std::time::Duration::from_mins(1).into()
}

fn hour() -> Duration {
    std::time::Duration::from_hours(1).into()
}

/// The rule also refuses what is no duration, since it cannot be evaluated then.
fn positive_duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 32,
        "x-kubernetes-validations": [{
            "rule": "duration(self) >= duration('1s')", "message": "a duration such as 30s or 5m is needed, at least 1s",
        }],
    })
}

fn any_duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 32,
        "x-kubernetes-validations": [{
            "rule": "duration(self) <= duration('876000h')", "message": "a duration such as 60m is needed, at most 876000h",
        }],
    })
}

fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"x-kubernetes-int-or-string": true},
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_that_names_a_template_alone_has_the_documented_defaults() {
        let spec: SandboxClaimSpec = serde_json::from_value(json!({"templateName": "pool"})).unwrap();
        let seconds = |duration: Duration| std::time::Duration::from(duration).as_secs();
        assert_eq!(
            (
                spec.replicas,
                seconds(spec.claim_timeout),
                seconds(spec.wait_ready_timeout),
                seconds(spec.ttl_after_completed),
                spec.create_on_no_stock,
                spec.skip_init_runtime,
            ),
            (1, 60, 30, 3600, true, false)
        );
    }
}
