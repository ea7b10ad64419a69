//! Checks what a claim asks for; no IO.

use silica_api::{crd::SandboxClaimSpec, labels, names};
use silica_core::{
    image::{self, ImageReference},
    sealed,
    volume::{self, Mounts},
};

/// Why a claim cannot be carried out, whatever happens.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    #[error("spec.{field} has the key {key:?}: keys with its prefix belong to Silica")]
    Key { field: &'static str, key: String },
    #[error("spec.inplaceUpdate.image {value:?} is not the reference of an image: {error}")]
    Image { value: String, error: image::Error },
    #[error(
        "spec.inplaceUpdate.resources is not supported: give the template of the SandboxSet these resources, or claim from \
         another SandboxSet"
    )]
    Resources,
    #[error("spec.dynamicVolumesMount: {0}")]
    Volumes(#[from] volume::Error),
    #[error("spec.envVars: {0}")]
    Env(#[from] sealed::Error),
    #[error("spec.envVars reach nobody with skipInitRuntime: true")]
    EnvWithoutInit,
    #[error("spec.{field} needs a runtime in the sandboxes, and the template has none (runtimes: [])")]
    NoRuntime { field: &'static str },
    #[error(
        "spec.runtimes names {name:?}; {:?} is the only one known",
        names::AGENT_RUNTIME
    )]
    Runtime { name: String },
}

/// What a sound claim asks for, beside numbers and times.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Order {
    /// Image to run instead of the template's.
    pub(super) image: Option<ImageReference>,
    /// Volumes to mount; only sandboxes that are made for the claim can have them.
    pub(super) mounts: Mounts,
}

/// Checks a claim; whether the pool has a runtime is not known when there is no pool.
pub(super) fn order(spec: &SandboxClaimSpec, has_runtime: Option<bool>) -> Result<Order, Error> {
    for (field, keys) in [("labels", &spec.labels), ("annotations", &spec.annotations)] {
        let is_ours = |key: &&String| {
            key.starts_with(labels::RESERVED_PREFIX) || key.starts_with(labels::EXTENSION_PREFIX)
        };
        if let Some(key) = keys.keys().find(is_ours) {
            let key = key.clone();
            return Err(Error::Key { field, key });
        }
    }
    let update = spec.inplace_update.clone().unwrap_or_default();
    if update.resources.is_some() {
        return Err(Error::Resources);
    }
    let image = update
        .image
        .map(|value| value.parse().map_err(|error| Error::Image { value, error }))
        .transpose()?;
    let mounts = Mounts::of_claim(&spec.dynamic_volumes_mount)?;
    sealed::check(&spec.env_vars)?;
    if spec.skip_init_runtime && !spec.env_vars.is_empty() {
        return Err(Error::EnvWithoutInit);
    }
    if let Some(other) = spec
        .runtimes
        .iter()
        .find(|runtime| runtime.name != names::AGENT_RUNTIME)
    {
        let name = other.name.clone();
        return Err(Error::Runtime { name });
    }
    for (field, asks) in [
        ("runtimes", !spec.runtimes.is_empty()),
        ("envVars", !spec.env_vars.is_empty()),
    ] {
        if asks && has_runtime == Some(false) {
            return Err(Error::NoRuntime { field });
        }
    }
    Ok(Order { image, mounts })
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};
    use silica_api::crd::SandboxClaim;

    use super::*;

    /// A claim of `pool` with these fields of the spec.
    pub(in super::super) fn claim(spec: &Value) -> SandboxClaim {
        let mut fields = json!({"templateName": "pool"});
        for (key, value) in spec.as_object().unwrap() {
            fields[key] = value.clone();
        }
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxClaim",
            "metadata": {"name": "claim", "namespace": "ns", "uid": "u-1", "resourceVersion": "1", "generation": 1},
            "spec": fields,
        }))
        .unwrap()
    }

    fn check(spec: &Value) -> Result<Order, Error> {
        order(&claim(spec).spec, Some(true))
    }

    #[test]
    fn what_a_claim_may_ask_for_is_accepted() {
        let spec = json!({
            "labels": {"team": "a"}, "annotations": {"example.com/x": "y"}, "envVars": {"A": "1"},
            "inplaceUpdate": {"image": "debian:12"}, "runtimes": [{"name": "agent-runtime"}],
            "dynamicVolumesMount": [{"mountID": "m", "pvName": "data", "mountPath": "/data"}],
        });
        let asked = check(&spec).unwrap();
        assert_eq!(asked.image.unwrap().as_str(), "debian:12");
        assert_eq!(asked.mounts.as_slice()[0].pv_name, "data");
        assert_eq!(check(&json!({})), Ok(Order::default()));
        assert!(order(&claim(&spec).spec, None).is_ok());
    }

    #[test]
    fn what_would_be_ignored_is_refused_with_the_field() {
        for (spec, field) in [
            (
                json!({"inplaceUpdate": {"resources": {"limits": {"cpu": 2}}}}),
                "spec.inplaceUpdate.resources",
            ),
            (json!({"runtimes": [{"name": "csi"}]}), "spec.runtimes"),
            (
                json!({"dynamicVolumesMount": [{"pvName": "data", "mountPath": "/"}]}),
                "spec.dynamicVolumesMount",
            ),
            (
                json!({"dynamicVolumesMount": [{"pvName": "data", "mountPath": "/data", "attributes": {"a": "b"}}]}),
                "spec.dynamicVolumesMount",
            ),
            (
                json!({"skipInitRuntime": true, "envVars": {"A": "1"}}),
                "spec.envVars",
            ),
            (json!({"envVars": {"A=B": "1"}}), "spec.envVars"),
            (
                json!({"inplaceUpdate": {"image": "No Image"}}),
                "spec.inplaceUpdate.image",
            ),
        ] {
            let refused = check(&spec).unwrap_err().to_string();
            assert!(refused.starts_with(field), "{refused}");
        }
    }

    #[test]
    fn keys_that_say_whose_a_sandbox_is_cannot_be_set() {
        for key in [labels::CLAIMED, "e2b.agents.kruise.io/x"] {
            for field in ["labels", "annotations"] {
                let spec = json!({field: {key: "x"}});
                assert!(matches!(check(&spec), Err(Error::Key { .. })), "{spec}");
            }
        }
    }

    #[test]
    fn a_runtime_is_needed_by_what_uses_it() {
        for (spec, field) in [
            (json!({"envVars": {"A": "1"}}), "envVars"),
            (json!({"runtimes": [{"name": "agent-runtime"}]}), "runtimes"),
        ] {
            assert_eq!(
                order(&claim(&spec).spec, Some(false)),
                Err(Error::NoRuntime { field })
            );
        }
        assert!(order(&claim(&json!({})).spec, Some(false)).is_ok());
    }
}
