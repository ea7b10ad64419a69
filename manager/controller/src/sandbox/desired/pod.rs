//! The pod of a Sandbox, before anything is injected.

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec, PodTemplateSpec};
use kube::{Resource, ResourceExt, api::ObjectMeta};
use silica_api::{crd::Sandbox, labels, names};
use silica_core::token;
use silica_runtime_api::ACCESS_TOKEN_SHA256_ENV;

use super::Error;
use crate::context::Settings;

/// Longest value of a label.
const LABEL_VALUE_MAX: usize = 63;

/// The template as a pod of this Sandbox: its name and owner, no credentials
/// for the cluster unless the template asks for them, and the fingerprint of the
/// access token in the main container, which has the image that the Sandbox wants.
pub(super) fn pod(
    sandbox: &Sandbox,
    template: PodTemplateSpec,
    revision: &str,
    settings: &Settings,
) -> Result<Pod, Error> {
    let mut spec = template.spec.unwrap_or_default();
    spec.automount_service_account_token.get_or_insert(false);
    // Names of unrelated Services are nothing for untrusted code.
    spec.enable_service_links.get_or_insert(false);
    let token = settings.token_key.envd_token(&sandbox.uid().unwrap_or_default());
    let main = main_container(&mut spec)?;
    // Tells the runtime which token to ask for, without revealing it.
    set_env(main, ACCESS_TOKEN_SHA256_ENV, token::fingerprint(&token));
    if let Some(image) = sandbox.spec.wanted_image() {
        main.image = Some(image.to_owned());
    }
    Ok(Pod {
        metadata: metadata(sandbox, template.metadata.unwrap_or_default(), revision),
        spec: Some(spec),
        status: None,
    })
}

fn metadata(sandbox: &Sandbox, template: ObjectMeta, revision: &str) -> ObjectMeta {
    let name = sandbox.name_any();
    let mut labels = template.labels.unwrap_or_default();
    labels.insert(labels::CREATED_BY.to_owned(), "sandbox".to_owned());
    labels.insert(labels::TEMPLATE_HASH.to_owned(), revision.to_owned());
    if name.len() <= LABEL_VALUE_MAX {
        labels.insert(labels::SANDBOX_NAME.to_owned(), name.clone());
    }
    ObjectMeta {
        name: Some(name),
        namespace: sandbox.namespace(),
        labels: Some(labels),
        annotations: template.annotations,
        owner_references: Some(sandbox.controller_owner_ref(&()).into_iter().collect()),
        ..ObjectMeta::default()
    }
}

/// The container that is the sandbox.
pub(super) fn main_container(spec: &mut PodSpec) -> Result<&mut Container, Error> {
    let index = spec
        .containers
        .iter()
        .position(|container| container.name == names::MAIN_CONTAINER)
        .unwrap_or(0);
    spec.containers.get_mut(index).ok_or(Error::NoContainer)
}

fn set_env(container: &mut Container, name: &str, value: String) {
    let env = container.env.get_or_insert_default();
    env.retain(|variable| variable.name != name);
    env.push(EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use silica_core::token::{TokenKey, fingerprint};

    use super::super::tests::build;

    /// The template of the product's guide, with its own runtime.
    fn guide_template() -> Value {
        json!({
            "metadata": {"labels": {"agent": "code-interpreter"}, "annotations": {"team": "a"}},
            "spec": {
                "initContainers": [{
                    "name": "runtime", "image": "agent-runtime:v0.0.5",
                    "command": ["sh", "/workspace/entrypoint_inner.sh"],
                    "volumeMounts": [{"name": "envd-volume", "mountPath": "/mnt/envd"}],
                    "env": [{"name": "ENVD_DIR", "value": "/mnt/envd"}, {"name": "__IGNORE_RESOURCE__", "value": "true"}],
                    "restartPolicy": "Always",
                }],
                "containers": [{
                    "name": "sandbox", "image": "code-interpreter:v1.6", "imagePullPolicy": "IfNotPresent",
                    "resources": {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 1, "memory": "1Gi"}},
                    "startupProbe": {"failureThreshold": 10, "httpGet": {"path": "/health", "port": 49999},
                        "initialDelaySeconds": 1, "periodSeconds": 2, "timeoutSeconds": 1},
                    "env": [{"name": "ENVD_DIR", "value": "/mnt/envd"}],
                    "volumeMounts": [{"name": "envd-volume", "mountPath": "/mnt/envd"}],
                    "lifecycle": {"postStart": {"exec": {"command": ["/bin/bash", "-c", "/mnt/envd/envd-run.sh"]}}},
                }],
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "envd-volume", "emptyDir": {}}],
            },
        })
    }

    #[test]
    fn the_guides_template_is_kept_but_for_the_token_fingerprint() {
        let pod = build(guide_template()).unwrap();
        let mut expected = guide_template()["spec"].clone();
        let token = TokenKey::new(&[7; 32]).unwrap().envd_token("u-1");
        expected["containers"][0]["env"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "SILICA_ACCESS_TOKEN_SHA256", "value": fingerprint(&token)}));
        for kind in ["limits", "requests"] {
            expected["containers"][0]["resources"][kind]["cpu"] = json!("1");
        }
        expected["automountServiceAccountToken"] = json!(false);
        expected["enableServiceLinks"] = json!(false);
        assert_eq!(pod["spec"], expected);
    }

    #[test]
    fn a_pod_is_named_labelled_and_owned() {
        let metadata = build(guide_template()).unwrap()["metadata"].clone();
        assert_eq!(
            (&metadata["name"], &metadata["namespace"]),
            (&json!("pool-abcde"), &json!("ns"))
        );
        assert_eq!(metadata["annotations"], json!({"team": "a"}));
        let labels = &metadata["labels"];
        assert_eq!(labels["agent"], "code-interpreter");
        assert_eq!(labels["agents.kruise.io/created-by"], "sandbox");
        assert_eq!(labels["agents.kruise.io/sandbox-name"], "pool-abcde");
        assert_eq!(
            labels["agents.kruise.io/template-hash"].as_str().unwrap().len(),
            10
        );
        let owner = &metadata["ownerReferences"][0];
        assert_eq!(
            (&owner["kind"], &owner["uid"], &owner["controller"]),
            (&json!("Sandbox"), &json!("u-1"), &json!(true))
        );
    }

    #[test]
    fn a_template_may_ask_for_a_service_account_token() {
        let mut template = guide_template();
        template["spec"]["automountServiceAccountToken"] = json!(true);
        assert_eq!(
            build(template).unwrap()["spec"]["automountServiceAccountToken"],
            true
        );
    }

    #[test]
    fn a_template_cannot_choose_the_fingerprint_or_hide_its_pod() {
        let mut template = guide_template();
        template["metadata"]["labels"]["agents.kruise.io/created-by"] = json!("me");
        template["spec"]["containers"][0]["env"] =
            json!([{"name": "SILICA_ACCESS_TOKEN_SHA256", "value": "00"}]);
        let pod = build(template).unwrap();
        let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        assert_eq!(env.len(), 1);
        assert_ne!(env[0]["value"], "00");
        assert_eq!(
            pod["metadata"]["labels"]["agents.kruise.io/created-by"],
            "sandbox"
        );
    }

    #[test]
    fn the_token_itself_is_nowhere_in_the_pod() {
        let token = TokenKey::new(&[7; 32]).unwrap().envd_token("u-1");
        assert!(!build(guide_template()).unwrap().to_string().contains(&token));
    }
}
