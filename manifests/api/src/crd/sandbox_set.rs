//! `SandboxSet`: a pool of warm sandboxes, which the E2B API offers as a template.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, PauseStrategy, PodTemplate, RuntimeRef, TemplateRef, VolumeClaimTemplate};

/// Desired state of a pool.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "agents.kruise.io",
    version = "v1alpha1",
    kind = "SandboxSet",
    plural = "sandboxsets",
    shortname = "sbs",
    namespaced,
    status = "SandboxSetStatus",
    derive = "Default",
    derive = "PartialEq",
    scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.replicas", label_selector_path = ".status.selector"),
    validation = Rule::new("has(self.spec.template) != has(self.spec.templateRef)").message("exactly one of spec.template and spec.templateRef is required"),
    validation = Rule::new("size(self.metadata.name) <= 40").message("the name of a SandboxSet may have 40 characters at most: sandbox ids made from it are DNS labels"),
    printcolumn = r#"{"name":"Replicas","type":"integer","jsonPath":".status.replicas"}"#,
    printcolumn = r#"{"name":"Available","type":"integer","jsonPath":".status.availableReplicas"}"#,
    printcolumn = r#"{"name":"UpdatedReplicas","type":"integer","jsonPath":".status.updatedReplicas"}"#,
    printcolumn = r#"{"name":"UpdatedAvailableReplicas","type":"integer","jsonPath":".status.updatedAvailableReplicas"}"#,
    printcolumn = r#"{"name":"UpdateRevision","type":"string","jsonPath":".status.updateRevision"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SandboxSetSpec {
    /// How many unused sandboxes the pool keeps: those being created plus those available.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// See `Sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_strategy: Option<PauseStrategy>,
    /// See `Sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_contents: Option<Vec<String>>,
    /// See `Sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtimes: Option<Vec<RuntimeRef>>,
    /// Object that holds the pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<TemplateRef>,
    /// The pod template itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PodTemplate>,
    /// See `Sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim_templates: Option<Vec<VolumeClaimTemplate>>,
    /// Limits on growing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_strategy: Option<ScaleStrategy>,
    /// Limits on replacing sandboxes of an older template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
}

/// Limits on growing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleStrategy {
    /// How many sandboxes may be in creation at a time, a number or a percentage
    /// of `replicas`; zero stops growing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "int_or_string")]
    pub max_unavailable: Option<IntOrString>,
}

/// Limits on replacing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// How many available sandboxes may be replaced at a time, a number or a
    /// percentage of `replicas`; 20% when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "int_or_string")]
    pub max_unavailable: Option<IntOrString>,
}

fn int_or_string(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
    })
}

/// Observed state of a pool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxSetStatus {
    #[serde(default)]
    pub observed_generation: i64,
    /// Sandboxes in creation plus available ones.
    #[serde(default)]
    pub replicas: i32,
    /// Sandboxes that a client can claim now.
    #[serde(default)]
    pub available_replicas: i32,
    /// Of `replicas`, those of the newest template.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Of `availableReplicas`, those of the newest template.
    #[serde(default)]
    pub updated_available_replicas: i32,
    /// Hash of the newest template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_revision: Option<String>,
    /// Name of the referenced template, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_revision: Option<String>,
    /// Label selector of the unclaimed sandboxes, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
