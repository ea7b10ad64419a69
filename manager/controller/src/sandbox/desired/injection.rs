//! Brings the runtime into a pod whose template has none.
//!
//! An init container copies one static binary into a shared volume, and a
//! `postStart` hook starts it inside the main container, so the image needs no
//! shell and no tools. When the main container has a command of its own as hook,
//! both run, the runtime first; joining two commands takes `/bin/sh`, which an
//! image with such a hook nearly always has.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, ExecAction, LifecycleHandler, Pod, PodSpec,
    ResourceRequirements, SeccompProfile, SecurityContext, Volume, VolumeMount,
};
use silica_api::{carried, names};
use silica_runtime_api::{BINARY, INSTALL_DIR, START_SCRIPT};

use super::{Error, pod::main_container};
use crate::RuntimeSource;

/// Argument that starts the runtime and returns once it serves.
const START: &str = "start";
/// User without rights, of whom no image has files.
const NOBODY: i64 = 65532;

/// Adds volume, init container, mount and hook.
pub(super) fn inject(pod: &mut Pod, runtime: &RuntimeSource) -> Result<(), Error> {
    let spec = pod.spec.get_or_insert_default();
    let main = main_container(spec)?;
    let mounts = main.volume_mounts.get_or_insert_default();
    if !mounts
        .iter()
        .any(|mount| mount.mount_path.trim_end_matches('/') == INSTALL_DIR)
    {
        mounts.push(mount());
    }
    let lifecycle = main.lifecycle.get_or_insert_default();
    let Some(hook) = hook(lifecycle.post_start.take()) else {
        return Err(Error::Hook {
            container: main.name.clone(),
        });
    };
    lifecycle.post_start = Some(hook);
    let resources = main.resources.as_ref().map(compute_only);
    let of_main = main.security_context.as_ref().and_then(|main| main.run_as_user);
    let security = security(spec, of_main);

    spec.init_containers
        .get_or_insert_default()
        .insert(0, installer(runtime, resources, security));
    let volumes = spec.volumes.get_or_insert_default();
    if let RuntimeSource::ConfigMaps { names, .. } = runtime {
        volumes.push(carried::volume(names));
    }
    if !volumes.iter().any(|volume| volume.name == names::ENVD_VOLUME) {
        volumes.push(Volume {
            name: names::ENVD_VOLUME.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        });
    }
    Ok(())
}

fn mount() -> VolumeMount {
    VolumeMount {
        name: names::ENVD_VOLUME.to_owned(),
        mount_path: INSTALL_DIR.to_owned(),
        ..VolumeMount::default()
    }
}

/// The hook that starts the runtime, followed by the user's own command. `None`
/// when the user's hook is not a command.
fn hook(own: Option<LifecycleHandler>) -> Option<LifecycleHandler> {
    let start = [BINARY, START];
    let command = match own {
        None => start.map(str::to_owned).to_vec(),
        Some(handler) => {
            let own = handler.exec?.command.unwrap_or_default();
            if own
                .iter()
                .any(|word| word.contains(BINARY) || word.contains(START_SCRIPT))
            {
                // The template starts the runtime itself.
                own
            } else {
                let script = format!("{} && exec \"$@\"", start.join(" "));
                let shell = ["/bin/sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()];
                shell.into_iter().chain(own).collect()
            }
        }
    };
    Some(LifecycleHandler {
        exec: Some(ExecAction {
            command: Some(command),
        }),
        ..LifecycleHandler::default()
    })
}

/// A security context that the Pod Security level `restricted` admits, whatever the rest of the pod has. The
/// user is the main container's or the pod's, if that is not root: some clusters restrict its number.
fn security(spec: &PodSpec, of_main: Option<i64>) -> SecurityContext {
    let of_pod = spec.security_context.as_ref().and_then(|pod| pod.run_as_user);
    let user = of_main.or(of_pod).filter(|user| *user != 0).unwrap_or(NOBODY);
    // Only an empty directory is writable for every user.
    let is_own = |volume: &Volume| volume.name == names::ENVD_VOLUME && volume.empty_dir.is_none();
    let is_foreign = spec
        .volumes
        .as_ref()
        .is_some_and(|volumes| volumes.iter().any(is_own));
    SecurityContext {
        run_as_non_root: (!is_foreign).then_some(true),
        run_as_user: (!is_foreign).then_some(user),
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            add: None,
            drop: Some(vec!["ALL".to_owned()]),
        }),
        read_only_root_filesystem: Some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..SecurityContext::default()
    }
}

/// Copies the runtime and ends. With the resources of the main container it adds
/// nothing to what the pod asks for, and does not change its QoS class.
fn installer(
    runtime: &RuntimeSource,
    resources: Option<ResourceRequirements>,
    security: SecurityContext,
) -> Container {
    let install = |executable| [executable, "install", INSTALL_DIR];
    let (image, command, mounts) = match runtime {
        RuntimeSource::Image(image) => {
            let command = install("/sandbox-runtime").map(str::to_owned).to_vec();
            (image, command, vec![mount()])
        }
        RuntimeSource::ConfigMaps { image, sha256, .. } => {
            let command = carried::command(sha256, BINARY, &install(BINARY));
            (image, command, vec![mount(), carried::mount()])
        }
    };
    Container {
        name: names::RUNTIME_CONTAINER.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(command),
        volume_mounts: Some(mounts),
        resources,
        security_context: Some(security),
        ..Container::default()
    }
}

/// CPU and memory of a container, without devices.
fn compute_only(resources: &ResourceRequirements) -> ResourceRequirements {
    let mut kept = ResourceRequirements {
        claims: None,
        ..resources.clone()
    };
    for list in [&mut kept.limits, &mut kept.requests].into_iter().flatten() {
        list.retain(|name, _| name == "cpu" || name == "memory");
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{
        Error,
        tests::{build, build_with, settings},
    };
    use crate::{RuntimeSource, context::Settings};

    fn minimal() -> Value {
        json!({"spec": {"containers": [{"name": "app", "image": "distroless"}]}})
    }

    fn hook(pod: &Value, container: usize) -> &Value {
        &pod["spec"]["containers"][container]["lifecycle"]["postStart"]["exec"]["command"]
    }

    #[test]
    fn a_minimal_template_gets_the_runtime_without_any_shell() {
        let pod = build(minimal()).unwrap();
        let spec = &pod["spec"];
        let init = &spec["initContainers"][0];
        assert_eq!(
            (&init["name"], &init["image"]),
            (&json!("runtime"), &json!("runtime:1"))
        );
        assert_eq!(
            init["command"],
            json!(["/sandbox-runtime", "install", "/mnt/envd"])
        );
        assert_eq!(
            init.get("restartPolicy"),
            None,
            "it must end before the main container starts"
        );
        let mount = json!([{"name": "envd-volume", "mountPath": "/mnt/envd"}]);
        assert_eq!(
            (&init["volumeMounts"], &spec["containers"][0]["volumeMounts"]),
            (&mount, &mount)
        );
        assert_eq!(spec["volumes"], json!([{"name": "envd-volume", "emptyDir": {}}]));
        assert_eq!(hook(&pod, 0), &json!(["/mnt/envd/sandbox-runtime", "start"]));
    }

    /// What the level `restricted` asks of a container that its pod does not say (Pod Security Standards).
    fn assert_restricted(container: &Value) {
        let security = &container["securityContext"];
        assert_eq!(security["runAsNonRoot"], true);
        assert_ne!(security["runAsUser"], 0);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    }

    #[test]
    fn the_init_container_complies_by_itself_and_takes_over_who_the_sandbox_is() {
        let build = |pod: Value, container: Value| {
            let mut template = minimal();
            template["spec"]["securityContext"] = pod;
            template["spec"]["containers"][0]["securityContext"] = container;
            let pod = build(template).unwrap();
            let init = pod["spec"]["initContainers"][0].clone();
            assert_restricted(&init);
            init["securityContext"]["runAsUser"].clone()
        };
        assert_eq!(
            build(json!({}), json!({"runAsNonRoot": true, "runAsUser": 1000})),
            1000
        );
        assert_eq!(build(json!({"runAsUser": 2000}), json!({})), 2000);
        assert_eq!(build(json!({"runAsUser": 2000}), json!({"runAsUser": 0})), 65532);
        assert_eq!(build(json!({}), json!({})), 65532);
    }

    #[test]
    fn a_volume_of_the_templates_own_is_written_by_the_user_of_the_image() {
        let mut template = minimal();
        template["spec"]["volumes"] = json!([{"name": "envd-volume", "hostPath": {"path": "/opt"}}]);
        let pod = build(template).unwrap();
        let security = &pod["spec"]["initContainers"][0]["securityContext"];
        assert!(security.get("runAsUser").is_none() && security.get("runAsNonRoot").is_none());
    }

    #[test]
    fn a_runtime_from_config_maps_is_verified_and_then_installs_itself() {
        let settings = Settings {
            runtime: RuntimeSource::ConfigMaps {
                image: "pause:1".into(),
                names: vec!["silica-loader-1".into(), "sandbox-runtime-00-2".into()],
                sha256: "ab".into(),
            },
            ..settings()
        };
        let pod = build_with(minimal(), &settings).unwrap();
        let init = &pod["spec"]["initContainers"][0];
        assert_eq!(init["image"], "pause:1");
        let command: Vec<_> = init["command"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(
            command.join(" "),
            "/silica/carried/silica-loader /silica/carried --sha256 ab --into /mnt/envd/sandbox-runtime -- \
             /mnt/envd/sandbox-runtime install /mnt/envd"
        );
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        assert_eq!(
            volumes[0]["projected"]["sources"][1]["configMap"]["name"],
            "sandbox-runtime-00-2"
        );
        // The sandbox itself sees no more than with an image.
        let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
        assert_eq!(mounts.len(), 1);
    }

    #[test]
    fn of_several_containers_the_one_named_sandbox_is_the_main_one() {
        let two = json!({"spec": {"containers": [{"name": "proxy"}, {"name": "sandbox"}]}});
        let pod = build(two).unwrap();
        assert!(hook(&pod, 0).is_null() && !hook(&pod, 1).is_null());
        let env = |index: usize| pod["spec"]["containers"][index]["env"].clone();
        assert!(env(0).is_null() && env(1)[0]["name"] == "SILICA_ACCESS_TOKEN_SHA256");

        let unnamed = json!({"spec": {"containers": [{"name": "app"}, {"name": "proxy"}]}});
        let pod = build(unnamed).unwrap();
        assert!(!hook(&pod, 0).is_null() && hook(&pod, 1).is_null());
    }

    #[test]
    fn a_command_of_the_users_own_runs_after_the_runtime_started() {
        let mut template = minimal();
        template["spec"]["containers"][0]["lifecycle"] = json!({"postStart": {"exec": {"command": ["touch", "/tmp/a b"]}}, "preStop": {"sleep": {"seconds": 1}}});
        let pod = build(template).unwrap();
        assert_eq!(
            hook(&pod, 0),
            &json!([
                "/bin/sh",
                "-c",
                "/mnt/envd/sandbox-runtime start && exec \"$@\"",
                "sh",
                "touch",
                "/tmp/a b"
            ])
        );
        assert_eq!(
            pod["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"],
            1
        );
    }

    #[test]
    fn a_hook_that_starts_the_runtime_itself_is_left_alone() {
        for command in [
            json!(["/mnt/envd/sandbox-runtime", "start"]),
            json!(["/bin/bash", "-c", "/mnt/envd/envd-run.sh"]),
        ] {
            let mut template = minimal();
            template["spec"]["containers"][0]["lifecycle"] =
                json!({"postStart": {"exec": {"command": command}}});
            assert_eq!(hook(&build(template).unwrap(), 0), &command);
        }
    }

    #[test]
    fn a_hook_that_is_no_command_is_refused() {
        let mut template = minimal();
        template["spec"]["containers"][0]["lifecycle"] = json!({"postStart": {"httpGet": {"port": 80}}});
        assert!(matches!(build(template), Err(Error::Hook { container }) if container == "app"));
    }

    #[test]
    fn own_init_containers_volumes_and_mounts_are_kept() {
        let template = json!({"spec": {
            "initContainers": [{"name": "seed-data"}],
            "containers": [{"name": "app", "volumeMounts": [{"name": "mine", "mountPath": "/mnt/envd/"}]}],
            "volumes": [{"name": "mine", "emptyDir": {}}],
        }});
        let pod = build(template).unwrap();
        let names: Vec<_> = pod["spec"]["initContainers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].clone())
            .collect();
        assert_eq!(names, ["runtime", "seed-data"]);
        assert_eq!(
            pod["spec"]["containers"][0]["volumeMounts"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn the_init_container_does_not_change_the_quality_of_service() {
        let mut template = minimal();
        let resources = json!({"limits": {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": "1"},
            "requests": {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": "1"}});
        template["spec"]["containers"][0]["resources"] = resources;
        let pod = build(template).unwrap();
        let compute = json!({"cpu": "2", "memory": "1Gi"});
        assert_eq!(
            pod["spec"]["initContainers"][0]["resources"],
            json!({"limits": compute, "requests": compute})
        );
    }
}
