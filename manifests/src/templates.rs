//! The default templates: pools named `base` and `code-interpreter`.

use kube::core::ObjectMeta;
use serde_json::{Value, json};
use silica_api::{
    crd::{PodTemplate, RuntimeRef, SandboxSet, SandboxSetSpec},
    labels, names,
    ports::Port,
};

use crate::{
    bag::{Object, Objects, Phase},
    options::{Options, TemplateOptions},
};

const BASE: &str = "base";
const CODE_INTERPRETER: &str = "code-interpreter";

/// Adds the pools that were asked for.
pub(crate) fn add(bag: &mut Objects, options: &Options) {
    let Some(templates) = &options.templates else {
        return;
    };
    bag.add(
        Phase::Templates,
        [Object::of(&pool(BASE, &templates.base_image, None, templates))],
    );
    if let Some(image) = &templates.code_interpreter_image {
        let pool = pool(CODE_INTERPRETER, image, Some(templates.interpreter), templates);
        bag.add(Phase::Templates, [Object::of(&pool)]);
    }
}

fn pool(name: &str, image: &str, interpreter: Option<Port>, options: &TemplateOptions) -> SandboxSet {
    SandboxSet {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(options.namespace.to_string()),
            labels: Some(labels::product()),
            ..ObjectMeta::default()
        },
        spec: SandboxSetSpec {
            replicas: i32::try_from(options.replicas).unwrap_or(i32::MAX),
            runtimes: Some(vec![RuntimeRef {
                name: names::AGENT_RUNTIME.into(),
            }]),
            template: Some(PodTemplate(pod_template(image, interpreter))),
            ..SandboxSetSpec::default()
        },
        status: None,
    }
}

/// The injected runtime does all the work, so the container's own process only
/// has to stay; `sleep` is in every image that has a user land.
fn pod_template(image: &str, interpreter: Option<Port>) -> Value {
    let mut container = json!({
        "name": "sandbox",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},
        },
    });
    if let Some(port) = interpreter {
        container["startupProbe"] = json!({
            "httpGet": {"path": "/health", "port": port.number},
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": 60,
        });
    }
    json!({
        "spec": {
            "containers": [container],
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
        },
    })
}

#[cfg(test)]
mod tests {
    use silica_api::ports;

    use super::*;

    fn options(code_interpreter_image: Option<&str>) -> TemplateOptions {
        TemplateOptions {
            namespace: "default".parse().unwrap(),
            replicas: 2,
            base_image: "base:1".into(),
            code_interpreter_image: code_interpreter_image.map(Into::into),
            interpreter: ports::INTERPRETER,
        }
    }

    #[test]
    fn only_the_interpreter_template_waits_for_the_interpreter() {
        let options = options(Some("ci:1"));
        let base = pool(BASE, "base:1", None, &options).spec.template.unwrap();
        let interpreter = pool(CODE_INTERPRETER, "ci:1", Some(ports::INTERPRETER), &options)
            .spec
            .template
            .unwrap();
        assert!(
            base.to_spec().unwrap().spec.unwrap().containers[0]
                .startup_probe
                .is_none()
        );
        assert!(
            interpreter.to_spec().unwrap().spec.unwrap().containers[0]
                .startup_probe
                .is_some()
        );
    }

    #[test]
    fn the_interpreter_template_exists_only_with_an_image() {
        let images = crate::Images {
            manager: "m:1".into(),
            runtime: "r:1".into(),
        };
        let mut all = Options::new("a.example".parse().unwrap(), images);
        all.templates = Some(options(None));
        let mut bag = Objects::default();
        add(&mut bag, &all);
        assert!(bag.find("SandboxSet", BASE).is_some());
        assert!(bag.find("SandboxSet", CODE_INTERPRETER).is_none());
    }
}
