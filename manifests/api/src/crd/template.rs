//! The pod template and the volume claims inside the custom resources.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodTemplateSpec};
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
        let mut value = self.0.clone();
        quantities_to_text(&mut value);
        serde_json::from_value(value)
    }
}

/// A persistent volume claim, kept exactly as the user wrote it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct VolumeClaimTemplate(pub Value);

impl VolumeClaimTemplate {
    /// The claim as the typed Kubernetes object.
    pub fn to_claim(&self) -> Result<PersistentVolumeClaim, serde_json::Error> {
        let mut value = self.0.clone();
        quantities_to_text(&mut value);
        serde_json::from_value(value)
    }
}

impl JsonSchema for VolumeClaimTemplate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VolumeClaimTemplate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Persistent volume claim (core/v1 PersistentVolumeClaim).",
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
        })
    }
}

/// Turns bare numbers into text where Kubernetes expects a quantity.
///
/// `cpu: 1` is common in YAML and accepted by Kubernetes itself, while the typed
/// Rust objects know quantities as text only.
fn quantities_to_text(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(quantities_to_text),
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                match (key.as_str(), field) {
                    ("limits" | "requests" | "overhead" | "capacity", Value::Object(quantities)) => {
                        quantities.values_mut().for_each(number_to_text);
                    }
                    ("sizeLimit" | "divisor", field) => number_to_text(field),
                    (_, field) => quantities_to_text(field),
                }
            }
        }
        _ => {}
    }
}

fn number_to_text(value: &mut Value) {
    if let Value::Number(number) = value {
        *value = Value::String(number.to_string());
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_with_bare_numbers_as_quantities_is_read() {
        let template = PodTemplate(json!({"spec": {
            "containers": [{"name": "sandbox", "resources": {
                "limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 0.5}}}],
            "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": 1024}}],
        }}));
        let spec = template.to_spec().unwrap().spec.unwrap();
        let resources = spec.containers[0].resources.clone().unwrap();
        assert_eq!(resources.limits.unwrap()["cpu"].0, "1");
        assert_eq!(resources.requests.unwrap()["cpu"].0, "0.5");
        assert_eq!(
            spec.volumes.unwrap()[0]
                .empty_dir
                .clone()
                .unwrap()
                .size_limit
                .unwrap()
                .0,
            "1024"
        );
    }

    #[test]
    fn a_claim_with_a_bare_number_is_read() {
        let claim = VolumeClaimTemplate(json!({
            "metadata": {"name": "data"},
            "spec": {"resources": {"requests": {"storage": 1_073_741_824}}},
        }));
        let requests = claim
            .to_claim()
            .unwrap()
            .spec
            .unwrap()
            .resources
            .unwrap()
            .requests
            .unwrap();
        assert_eq!(requests["storage"].0, "1073741824");
    }
}
