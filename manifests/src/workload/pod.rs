//! The pods of both roles, under the `restricted` Pod Security level: no root, no writable
//! file system, no capability.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
        LocalObjectReference, ObjectFieldSelector, PodSecurityContext, PodSpec, Probe, ResourceRequirements,
        SeccompProfile, SecretVolumeSource, SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use silica_api::{carried, names, ports};

use super::Role;
use crate::{
    executables::Carried,
    options::{Compute, Options},
};

/// User and group of our own pods; the number that distroless images use for `nonroot`.
const UID: i64 = 65_532;
const TOKEN_KEY_VOLUME: &str = "token-key";
/// Readable by the pod's own user and group only.
const TOKEN_KEY_MODE: i32 = 0o440;

pub(super) fn pod(role: &Role<'_>, options: &Options, identity: BTreeMap<String, String>) -> PodSpec {
    PodSpec {
        service_account_name: Some(role.name.into()),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(role.grace),
        node_selector: (!options.node_selector.is_empty()).then(|| options.node_selector.clone()),
        tolerations: (!options.tolerations.is_empty()).then(|| options.tolerations.clone()),
        image_pull_secrets: options
            .image_pull_secret
            .as_ref()
            .map(|name| vec![LocalObjectReference { name: name.clone() }]),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(UID),
            run_as_group: Some(UID),
            fs_group: Some(UID),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        topology_spread_constraints: Some(vec![TopologySpreadConstraint {
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".into(),
            when_unsatisfiable: "ScheduleAnyway".into(),
            label_selector: Some(LabelSelector {
                match_labels: Some(identity),
                ..LabelSelector::default()
            }),
            ..TopologySpreadConstraint::default()
        }]),
        init_containers: options
            .carried
            .as_ref()
            .map(|carried| vec![unpacker(role, options, carried)]),
        containers: vec![container(role, options)],
        volumes: Some(volumes(options)),
        ..PodSpec::default()
    }
}

fn volumes(options: &Options) -> Vec<Volume> {
    let mut volumes = vec![Volume {
        name: TOKEN_KEY_VOLUME.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(names::TOKEN_KEY_SECRET.into()),
            default_mode: Some(TOKEN_KEY_MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }];
    if let Some(carried) = &options.carried {
        volumes.push(carried::volume(&carried.manager_maps()));
        volumes.push(Volume {
            name: carried::BIN_VOLUME.into(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        });
    }
    volumes
}

/// Where the executable is when it travelled in ConfigMaps.
fn unpacked() -> String {
    format!("{}/{}", carried::BIN_DIR, names::MANAGER)
}

fn bin_mount(read_only: bool) -> VolumeMount {
    VolumeMount {
        name: carried::BIN_VOLUME.into(),
        mount_path: carried::BIN_DIR.into(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

/// Puts the executable together that travelled in ConfigMaps. It asks for what the main
/// container asks for, so the pod asks for no more than without it.
fn unpacker(role: &Role<'_>, options: &Options, carried: &Carried) -> Container {
    Container {
        name: carried::LOADER.into(),
        image: Some(options.images.manager.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(carried::command(&carried.manager.sha256, &unpacked(), &[])),
        resources: Some(resources(role.compute)),
        security_context: Some(restricted()),
        volume_mounts: Some(vec![carried::mount(), bin_mount(false)]),
        ..Container::default()
    }
}

fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

fn container(role: &Role<'_>, options: &Options) -> Container {
    Container {
        name: role.name.into(),
        image: Some(options.images.manager.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: options.carried.as_ref().map(|_| vec![unpacked()]),
        args: Some(role.args.clone()),
        env: Some(vec![
            from_field("POD_NAMESPACE", "metadata.namespace"),
            from_field("POD_NAME", "metadata.name"),
        ]),
        ports: Some(role.ports.clone()),
        resources: Some(resources(role.compute)),
        security_context: Some(restricted()),
        // Starting is probed every second, so that a pod counts as ready as
        // soon as its caches are filled; afterwards less often.
        startup_probe: Some(probe("/readyz", 1, 120)),
        readiness_probe: Some(probe("/readyz", 5, 2)),
        liveness_probe: Some(probe("/healthz", 10, 3)),
        volume_mounts: Some(mounts(options)),
        ..Container::default()
    }
}

fn mounts(options: &Options) -> Vec<VolumeMount> {
    let token_key = VolumeMount {
        name: TOKEN_KEY_VOLUME.into(),
        mount_path: names::TOKEN_KEY_DIR.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let bin = options.carried.as_ref().map(|_| bin_mount(true));
    [Some(token_key), bin].into_iter().flatten().collect()
}

fn from_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource {
            // Written out, although it is the default: the API server compares this
            // structure as a whole, so what kubectl applied would be a conflict.
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".into()),
                field_path: path.into(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn resources(compute: &Compute) -> ResourceRequirements {
    let quantity = |value: &String| Quantity(value.clone());
    let limits: BTreeMap<String, Quantity> = [("cpu", &compute.cpu_limit), ("memory", &compute.memory_limit)]
        .into_iter()
        .filter_map(|(name, limit)| Some((name.to_owned(), quantity(limit.as_ref()?))))
        .collect();
    ResourceRequirements {
        requests: Some(
            [
                ("cpu".to_owned(), quantity(&compute.cpu)),
                ("memory".to_owned(), quantity(&compute.memory)),
            ]
            .into(),
        ),
        limits: (!limits.is_empty()).then_some(limits),
        ..ResourceRequirements::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(ports::ADMIN.name.into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}
