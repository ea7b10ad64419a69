//! The objects that a Sandbox consists of; no IO.

mod injection;
mod mount;
mod pod;
mod volume;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use silica_api::crd::Sandbox;

use super::binding::Bound;
use crate::{context::Settings, template::Blueprint};

/// Why a template cannot become a pod.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the template is not a pod template: {0}")]
    Template(#[source] serde_json::Error),
    #[error("the template has no containers")]
    NoContainer,
    #[error("volumeClaimTemplates[{index}] is not a volume claim: {error}")]
    Claim {
        index: usize,
        #[source]
        error: serde_json::Error,
    },
    #[error("volumeClaimTemplates[{index}] has no metadata.name")]
    ClaimName { index: usize },
    #[error(
        "container {container:?} has a postStart hook that is not a command, so the sandbox runtime cannot be started \
         beside it; start it from the hook, or give the template its own init container named \"runtime\""
    )]
    Hook { container: String },
    #[error("mountPath {path:?} is taken: the template mounts volume {volume:?} there")]
    MountTaken { path: String, volume: String },
}

/// Everything to create, claims first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Objects {
    pub(crate) claims: Vec<PersistentVolumeClaim>,
    pub(crate) pod: Pod,
}

/// The objects for one Sandbox.
pub(crate) fn objects(
    sandbox: &Sandbox,
    blueprint: &Blueprint,
    bound: &[Bound],
    settings: &Settings,
) -> Result<Objects, Error> {
    let template = blueprint.template.to_spec().map_err(Error::Template)?;
    let revision = blueprint.revision(settings.runtime.identity());
    let mut pod = pod::pod(sandbox, template, &revision, settings)?;
    if blueprint.wants_runtime() {
        injection::inject(&mut pod, &settings.runtime)?;
    }
    let claims = volume::claims(sandbox, blueprint.volume_claims.as_deref().unwrap_or_default())?;
    volume::mount(&mut pod, &claims);
    mount::add(&mut pod, bound)?;
    Ok(Objects {
        claims: claims.into_iter().map(|claim| claim.object).collect(),
        pod,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use silica_api::{
        crd::{InplaceUpdate, PodTemplate},
        labels,
    };
    use silica_core::token::TokenKey;

    use crate::RuntimeSource;

    use super::*;

    pub(super) fn settings() -> Settings {
        Settings {
            runtime: RuntimeSource::Image("runtime:1".to_owned()),
            token_key: TokenKey::new(&[7; 32]).unwrap(),
        }
    }

    pub(super) fn sandbox() -> Sandbox {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "pool-abcde", "namespace": "ns", "uid": "u-1"}, "spec": {},
        }))
        .unwrap()
    }

    pub(super) fn build(template: Value) -> Result<Value, Error> {
        build_with(template, &settings())
    }

    pub(super) fn build_with(template: Value, settings: &Settings) -> Result<Value, Error> {
        let blueprint = Blueprint {
            template: PodTemplate(template),
            ..Blueprint::default()
        };
        objects(&sandbox(), &blueprint, &[], settings)
            .map(|objects| serde_json::to_value(objects.pod).unwrap())
    }

    #[test]
    fn a_claim_becomes_an_owned_object_and_a_volume() {
        let blueprint = Blueprint {
            template: PodTemplate(json!({"spec": {"containers": [{"name": "sandbox"}],
                "volumes": [{"name": "data", "emptyDir": {}}]}})),
            volume_claims: Some(vec![silica_api::crd::VolumeClaimTemplate(json!({
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }))]),
            ..Blueprint::default()
        };
        let objects = objects(&sandbox(), &blueprint, &[], &settings()).unwrap();
        let claim = serde_json::to_value(&objects.claims[0]).unwrap();
        assert_eq!(claim["metadata"]["name"], "data-pool-abcde");
        assert_eq!(claim["metadata"]["ownerReferences"][0]["uid"], "u-1");
        let pod = serde_json::to_value(&objects.pod).unwrap();
        let volumes: Vec<_> = pod["spec"]["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|v| v["name"] == "data")
            .collect();
        assert_eq!(
            volumes,
            [&json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-pool-abcde"}})]
        );
    }

    #[test]
    fn the_image_that_was_asked_for_replaces_that_of_the_main_container_alone() {
        let blueprint = Blueprint {
            template: PodTemplate(json!({"spec": {"containers": [
                {"name": "proxy", "image": "p"}, {"name": "sandbox", "image": "v1"}]}})),
            ..Blueprint::default()
        };
        let mut sandbox = sandbox();
        let images = |sandbox: &Sandbox| {
            let objects = objects(sandbox, &blueprint, &[], &settings()).unwrap();
            let revision = objects.pod.metadata.labels.unwrap()[labels::TEMPLATE_HASH].clone();
            let containers = objects.pod.spec.unwrap().containers;
            let images: Vec<_> = containers
                .into_iter()
                .filter_map(|container| container.image)
                .collect();
            (images.join(" "), revision)
        };
        let (before, revision) = images(&sandbox);
        assert_eq!(before, "p v1");
        sandbox.spec.inplace_update = Some(InplaceUpdate {
            image: Some("v2".to_owned()),
        });
        assert_eq!(images(&sandbox), ("p v2".to_owned(), revision));
    }

    #[test]
    fn what_is_not_a_pod_template_is_refused_with_a_reason() {
        for bad in [json!({}), json!({"spec": {"containers": []}})] {
            assert!(build(bad).is_err());
        }
        let error = build(json!({"spec": {"containers": "x"}})).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the template is not a pod template: "),
            "{error}"
        );
    }
}
