//! The blueprint of a pod: an inline template, or the SandboxTemplate that a
//! reference names, and the revision hash over all of it.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use silica_api::{
    crd::{
        PauseStrategy, PodTemplate, RuntimeRef, SandboxSetSpec, SandboxSpec, SandboxTemplate, TemplateRef,
        VolumeClaimTemplate,
    },
    names,
};

/// Why there is no blueprint.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    #[error("neither template nor templateRef is set")]
    Missing,
    #[error("templateRef names a {kind:?}; only SandboxTemplate is known")]
    Kind { kind: String },
    #[error("SandboxTemplate {name:?} does not exist in this namespace")]
    NotFound { name: String },
}

/// Everything that shapes a pod, with references followed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Blueprint {
    pub(crate) template: PodTemplate,
    pub(crate) runtimes: Option<Vec<RuntimeRef>>,
    pub(crate) volume_claims: Option<Vec<VolumeClaimTemplate>>,
    pub(crate) persistent_contents: Option<Vec<String>>,
    pub(crate) pause_strategy: Option<PauseStrategy>,
}

/// The fields that Sandbox and SandboxSet have in common.
pub(crate) struct Source<'a> {
    template: Option<&'a PodTemplate>,
    reference: Option<&'a TemplateRef>,
    runtimes: Option<&'a Vec<RuntimeRef>>,
    volume_claims: Option<&'a Vec<VolumeClaimTemplate>>,
    persistent_contents: Option<&'a Vec<String>>,
    pause_strategy: Option<&'a PauseStrategy>,
}

macro_rules! source_from {
    ($spec:ty) => {
        impl<'a> From<&'a $spec> for Source<'a> {
            fn from(spec: &'a $spec) -> Self {
                Self {
                    template: spec.template.as_ref(),
                    reference: spec.template_ref.as_ref(),
                    runtimes: spec.runtimes.as_ref(),
                    volume_claims: spec.volume_claim_templates.as_ref(),
                    persistent_contents: spec.persistent_contents.as_ref(),
                    pause_strategy: spec.pause_strategy.as_ref(),
                }
            }
        }
    };
}

source_from!(SandboxSpec);
source_from!(SandboxSetSpec);

/// Follows the reference, if there is one. What the object itself says wins
/// over what the SandboxTemplate says.
pub(crate) fn resolve<'a>(
    source: impl Into<Source<'a>>,
    find: impl FnOnce(&str) -> Option<Arc<SandboxTemplate>>,
) -> Result<Blueprint, Error> {
    let source = source.into();
    let own = Blueprint {
        template: source.template.cloned().unwrap_or_default(),
        runtimes: source.runtimes.cloned(),
        volume_claims: source.volume_claims.cloned(),
        persistent_contents: source.persistent_contents.cloned(),
        pause_strategy: source.pause_strategy.cloned(),
    };
    let Some(reference) = source.reference else {
        return if source.template.is_some() {
            Ok(own)
        } else {
            Err(Error::Missing)
        };
    };
    if let Some(kind) = reference.kind.as_ref().filter(|kind| *kind != "SandboxTemplate") {
        return Err(Error::Kind { kind: kind.clone() });
    }
    let shared = find(&reference.name).ok_or_else(|| Error::NotFound {
        name: reference.name.clone(),
    })?;
    let shared = &shared.spec;
    Ok(Blueprint {
        template: source.template.unwrap_or(&shared.template).clone(),
        runtimes: own.runtimes.or_else(|| shared.runtimes.clone()),
        volume_claims: own
            .volume_claims
            .or_else(|| shared.volume_claim_templates.clone()),
        persistent_contents: own
            .persistent_contents
            .or_else(|| shared.persistent_contents.clone()),
        pause_strategy: own.pause_strategy.or_else(|| shared.pause_strategy.clone()),
    })
}

impl Blueprint {
    /// Whether a daemon runs in the sandbox.
    pub(crate) fn has_runtime(&self) -> bool {
        self.brings_runtime() || self.wants_runtime()
    }

    /// Whether the controller brings the runtime into the pod: not when the
    /// template has its own init container for it, and not when the object says
    /// `runtimes: []`.
    pub(crate) fn wants_runtime(&self) -> bool {
        !self.brings_runtime() && self.runtimes.as_ref().is_none_or(|runtimes| !runtimes.is_empty())
    }

    fn brings_runtime(&self) -> bool {
        self.template
            .0
            .pointer("/spec/initContainers")
            .and_then(Value::as_array)
            .is_some_and(|containers| {
                containers
                    .iter()
                    .any(|container| container["name"] == names::RUNTIME_CONTAINER)
            })
    }

    /// Hash of everything that shapes the pod, the injected runtime included:
    /// ten hex digits of SHA-256. The order of map keys does not matter.
    pub(crate) fn revision(&self, runtime: &str) -> String {
        let shape = json!({
            "template": self.template,
            "runtimes": self.runtimes,
            "volumeClaims": self.volume_claims,
            "persistentContents": self.persistent_contents,
            "pauseStrategy": self.pause_strategy,
            "runtimeImage": self.wants_runtime().then_some(runtime),
        });
        let mut hasher = Sha256::new();
        hash(&shape, &mut hasher);
        let digest = hasher.finalize();
        let prefix = digest
            .iter()
            .take(5)
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{prefix:010x}")
    }
}

/// Feeds a value in a form that does not depend on the order of keys.
fn hash(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                hash(item, hasher);
            }
            hasher.update(b"]");
        }
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort_unstable();
            hasher.update(b"{");
            for key in keys {
                hash(&Value::String(key.clone()), hasher);
                hash(&fields[key], hasher);
            }
            hasher.update(b"}");
        }
        // JSON text of scalars is self-delimiting with the comma.
        scalar => {
            hasher.update(scalar.to_string());
            hasher.update(b",");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blueprint(template: Value) -> Blueprint {
        Blueprint {
            template: PodTemplate(template),
            ..Blueprint::default()
        }
    }

    #[test]
    fn the_revision_follows_every_shaping_field_and_no_key_order() {
        let base = blueprint(json!({"spec": {"containers": [{"name": "a", "image": "i"}]}}));
        let reordered: Value =
            serde_json::from_str(r#"{"spec": {"containers": [{"image": "i", "name": "a"}]}}"#).unwrap();
        assert_eq!(base.revision("r"), blueprint(reordered).revision("r"));
        let others = [
            blueprint(json!({"spec": {"containers": [{"name": "a", "image": "j"}]}})),
            Blueprint {
                runtimes: Some(vec![]),
                ..base.clone()
            },
            Blueprint {
                volume_claims: Some(vec![]),
                ..base.clone()
            },
        ];
        for other in others {
            assert_ne!(base.revision("r"), other.revision("r"), "{other:?}");
        }
        assert_ne!(base.revision("r"), base.revision("new runtime"));
        assert_eq!(base.revision("r").len(), 10);
    }

    #[test]
    fn a_new_runtime_does_not_touch_templates_that_bring_their_own() {
        let own = blueprint(json!({"spec": {"initContainers": [{"name": "runtime"}]}}));
        assert!(own.has_runtime() && !own.wants_runtime());
        assert_eq!(own.revision("r"), own.revision("new runtime"));
    }

    #[test]
    fn the_runtime_is_injected_unless_refused() {
        let plain = blueprint(json!({"spec": {"containers": []}}));
        assert!(plain.wants_runtime());
        let named = Some(vec![RuntimeRef {
            name: names::AGENT_RUNTIME.to_owned(),
        }]);
        assert!(
            Blueprint {
                runtimes: named,
                ..plain.clone()
            }
            .wants_runtime()
        );
        let refused = Blueprint {
            runtimes: Some(vec![]),
            ..plain
        };
        assert!(!refused.wants_runtime() && !refused.has_runtime());
    }

    #[test]
    fn a_reference_is_followed_and_own_fields_win() {
        let shared: SandboxTemplate = serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxTemplate", "metadata": {"name": "t"},
            "spec": {"template": {"x": 1}, "runtimes": [{"name": "agent-runtime"}]},
        }))
        .unwrap();
        let reference = TemplateRef {
            name: "t".to_owned(),
            kind: None,
            api_version: None,
        };
        let spec = SandboxSpec {
            template_ref: Some(reference),
            runtimes: Some(vec![]),
            ..SandboxSpec::default()
        };
        let resolved = resolve(&spec, |name| (name == "t").then(|| Arc::new(shared))).unwrap();
        assert_eq!(resolved.template.0, json!({"x": 1}));
        assert_eq!(resolved.runtimes, Some(vec![]));
        assert_eq!(
            resolve(&spec, |_| None),
            Err(Error::NotFound { name: "t".to_owned() })
        );
        assert_eq!(resolve(&SandboxSpec::default(), |_| None), Err(Error::Missing));
    }
}
