//! `Sandbox`: one pod with a life cycle.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PodTemplate, TemplateRef, VolumeClaimTemplate};

/// Desired state of one sandbox.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "agents.kruise.io",
    version = "v1alpha1",
    kind = "Sandbox",
    plural = "sandboxes",
    shortname = "sbx",
    namespaced,
    status = "SandboxStatus",
    derive = "Default",
    derive = "PartialEq",
    validation = Rule::new("has(self.spec.template) != has(self.spec.templateRef)").message("exactly one of spec.template and spec.templateRef is required"),
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Claimed","type":"string","jsonPath":".metadata.labels.agents\\.kruise\\.io/sandbox-claimed"}"#,
    printcolumn = r#"{"name":"shutdown_time","type":"string","jsonPath":".spec.shutdownTime"}"#,
    printcolumn = r#"{"name":"pause_time","type":"string","jsonPath":".spec.pauseTime"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SandboxSpec {
    /// `true` asks for the sandbox to be paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// How a pause is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_strategy: Option<PauseStrategy>,
    /// What a pause keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_contents: Option<Vec<String>>,
    /// The sandbox is deleted at this time; a time in the past deletes it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_time: Option<Time>,
    /// The sandbox is paused at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_time: Option<Time>,
    /// Runtimes to inject into the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtimes: Option<Vec<RuntimeRef>>,
    /// Object that holds the pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<TemplateRef>,
    /// The pod template itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PodTemplate>,
    /// Changes to the pod that need no new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inplace_update: Option<InplaceUpdate>,
    /// Claims for volumes that outlive the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim_templates: Option<Vec<VolumeClaimTemplate>>,
    /// Volumes of the namespace that the main container mounts beside those of the template.
    /// A pod is made with them, so that a change shows with the next pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"]))]
    pub volume_mounts: Vec<PersistentMount>,
}

/// A volume that the main container mounts.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersistentMount {
    /// PersistentVolume that is bound to a PersistentVolumeClaim of the namespace.
    pub pv_name: String,
    /// Folder in the sandbox.
    pub mount_path: String,
    /// Folder of the volume; all of it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// Whether the sandbox cannot write.
    #[serde(default)]
    pub read_only: bool,
}

/// Changes to the pod that need no new one.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InplaceUpdate {
    /// Image of the main container (the one named `sandbox`, else the first) in
    /// place of the template's. In a running pod this one container is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub image: Option<String>,
}

/// A runtime to inject, by name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct RuntimeRef {
    /// `agent-runtime` is the only name known.
    pub name: String,
}

/// How a pause is carried out.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PauseStrategy {
    /// Kind of pause.
    #[serde(default, rename = "type")]
    pub kind: PauseStrategyType,
}

/// Kinds of pause.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum PauseStrategyType {
    /// The pod is deleted, volumes are kept.
    #[default]
    Stop,
}

/// Observed state of one sandbox.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxStatus {
    /// Where the sandbox is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Why it is there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Node of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// IP address of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_ip: Option<String>,
    /// The pod as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_info: Option<PodInfo>,
    /// `spec.inplaceUpdate.image`, once the sandbox was ready with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Hash of the template that the pod was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_revision: Option<String>,
    /// `Ready` and others, see [`condition`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The pod as last seen.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodInfo {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    #[serde(default, rename = "podIP", skip_serializing_if = "Option::is_none")]
    pub pod_ip: Option<String>,
    #[serde(default, rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Id of the main container; another one after each of its restarts.
    #[serde(default, rename = "containerID", skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
}

/// Where a sandbox is in its life.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Phase {
    /// The pod is not running and ready yet.
    Pending,
    /// The pod runs.
    Running,
    /// The pod is gone, the sandbox can be resumed.
    Paused,
    /// A new pod is on its way after a pause.
    Resuming,
    /// The pod is being replaced.
    Upgrading,
    /// All containers ended with success; terminal.
    Succeeded,
    /// The pod failed or vanished; terminal.
    Failed,
    /// The sandbox is being deleted.
    Terminating,
}

impl SandboxSpec {
    /// Image of the main container, instead of the template's.
    pub fn wanted_image(&self) -> Option<&str> {
        self.inplace_update.as_ref()?.image.as_deref()
    }
}

impl SandboxStatus {
    /// IP address of the pod.
    pub fn address(&self) -> Option<&str> {
        let of_pod = self.pod_info.as_ref().and_then(|pod| pod.pod_ip.as_deref());
        of_pod.or(self.sandbox_ip.as_deref())
    }
}

/// One condition (KEP-1623 shape).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type, see [`condition`].
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the condition holds.
    pub status: ConditionStatus,
    /// One word for programs.
    #[serde(default)]
    pub reason: String,
    /// A sentence for people.
    #[serde(default)]
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// `metadata.generation` that the condition describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// Condition types and reasons.
pub mod condition {
    /// The sandbox accepts requests.
    pub const READY: &str = "Ready";
    /// Reason of [`READY`] when true, and while the pod starts when false.
    pub const POD_READY: &str = "PodReady";
    /// Reason of a false [`READY`]: the pod could not be created.
    pub const POD_CREATE_FAILED: &str = "PodCreateFailed";
    /// Reason of a false [`READY`]: a container does not start.
    pub const START_CONTAINER_FAILED: &str = "StartContainerFailed";
    /// Reason of a false [`READY`]: the main container is being replaced by one of another image.
    pub const IMAGE_CHANGING: &str = "ImageChanging";
    /// Reason of a false [`READY`]: the API server refused the other image.
    pub const IMAGE_CHANGE_FAILED: &str = "ImageChangeFailed";
    /// Reason of a false [`READY`]: a volume that was asked for cannot be mounted.
    pub const VOLUME_MOUNT_FAILED: &str = "VolumeMountFailed";
    /// Reason of a false [`READY`]: the template cannot become a pod.
    pub const INVALID_TEMPLATE: &str = "InvalidTemplate";
    /// Reason of a false [`READY`]: a pod of the same name belongs to somebody else.
    pub const POD_OWNER_MISMATCH: &str = "PodOwnerMismatch";
    /// Reason of a false [`READY`]: no node takes the pod.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// Reason of a false [`READY`]: the pod is being deleted.
    pub const POD_TERMINATING: &str = "PodTerminating";
    /// Reason of a false [`READY`]: the pod vanished.
    pub const POD_LOST: &str = "PodLost";
    /// Reason of a false [`READY`]: the pod ended, with success or without.
    pub const POD_ENDED: &str = "PodEnded";
    /// The sandbox is paused.
    pub const PAUSED: &str = "SandboxPaused";
    /// Reason of a false [`PAUSED`]: the pod is on its way out.
    pub const PAUSE_PENDING: &str = "Pending";
    /// Reason of a true [`PAUSED`]: the pod is gone.
    pub const STOP_PAUSE_SUCCEEDED: &str = "StopPauseSucceed";
    /// The sandbox was resumed.
    pub const RESUMED: &str = "SandboxResumed";
    /// Reason of [`RESUMED`]: a new pod is made.
    pub const CREATE_POD: &str = "CreatePod";
    /// On a SandboxSet: sandboxes cannot be made, or do not start.
    pub const REPLICA_FAILURE: &str = "ReplicaFailure";
    /// On a SandboxClaim: it is at its end.
    pub const COMPLETED: &str = "Completed";
    /// Reason of [`COMPLETED`]: it has as many sandboxes as it asked for.
    pub const ALL_REPLICAS_CLAIMED: &str = "AllReplicasClaimed";
    /// Reason of [`COMPLETED`]: there is no pool of that name.
    pub const SANDBOX_SET_NOT_FOUND: &str = "SandboxSetNotFound";
    /// Reason of [`COMPLETED`]: the time to claim is over.
    pub const TIMEOUT_REACHED: &str = "TimeoutReached";
    /// Reason of [`COMPLETED`]: it asks for what cannot be done.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// Reason of [`COMPLETED`]: sandboxes fail one after the other.
    pub const SANDBOXES_FAILED: &str = "SandboxesFailed";
    /// On a SandboxClaim: the time to claim was over before it had all.
    pub const TIMED_OUT: &str = "TimedOut";
    /// Reason of [`TIMED_OUT`].
    pub const CLAIM_TIMEOUT_REACHED: &str = "ClaimTimeoutReached";
}
