//! The pod template inside the custom resources.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A pod template, kept exactly as the user wrote it.
///
/// Fields that this version of Silica does not know survive the way from a
/// SandboxSet to its Sandboxes; the schema preserves unknown fields.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct PodTemplate(pub Value);

impl PodTemplate {
    /// The template as the typed Kubernetes object.
    pub fn to_spec(&self) -> Result<PodTemplateSpec, serde_json::Error> {
        serde_json::from_value(self.0.clone())
    }
}

impl JsonSchema for PodTemplate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PodTemplate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Pod template (core/v1 PodTemplateSpec).",
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
        })
    }
}

/// Reference to an object that holds a pod template.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    /// Name of the object, in the same namespace.
    pub name: String,
    /// Kind, `SandboxTemplate` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// API version of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
}
