//! Deployments and disruption budgets of the two roles.
//!
//! Both run the same image with a role argument, under the `restricted` Pod
//! Security level: no root, no writable file system, no capability.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource,
            HTTPGetAction, LocalObjectReference, ObjectFieldSelector, PodSecurityContext, PodSpec,
            PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource,
            SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use kube::core::ObjectMeta;
use silica_api::{
    carried, labels, names,
    ports::{self, Port},
};

use crate::{
    bag::{Object, Objects, Phase},
    carried::Carried,
    namespace::metadata,
    options::{Authentication, Compute, Options},
};

/// User and group of our own pods; the number that distroless images use for `nonroot`.
const UID: i64 = 65_532;
/// How long a manager may take to finish open streams, in seconds.
const MANAGER_GRACE: i64 = 60;
/// How long a controller may take to give up its Lease, in seconds.
const CONTROLLER_GRACE: i64 = 10;
const TOKEN_KEY_VOLUME: &str = "token-key";
/// Readable by the pod's own user and group only.
const TOKEN_KEY_MODE: i32 = 0o440;

/// How an upgrade replaces pods.
#[derive(Clone, Copy)]
enum Rollout {
    /// New pods serve before old ones go, so that no request is dropped.
    NewFirst,
    /// Old pods go first, since two of them cannot have the same port of a node.
    OldFirst,
}

struct Role<'a> {
    name: &'static str,
    args: Vec<String>,
    ports: Vec<ContainerPort>,
    rollout: Rollout,
    replicas: u32,
    compute: &'a Compute,
    grace: i64,
}

/// Adds the workloads of both roles.
pub(crate) fn add(bag: &mut Objects, options: &Options) {
    for role in [controller(options), manager(options)] {
        bag.add(Phase::Workloads, [Object::of(&deployment(&role, options))]);
        // A budget on a single replica would block every node drain.
        if options.disruption_budget && role.replicas > 1 {
            bag.add(Phase::Workloads, [Object::of(&disruption_budget(role.name))]);
        }
    }
}

fn controller(options: &Options) -> Role<'_> {
    let mut args: Vec<String> = vec!["controller".into()];
    args.extend(["--runtime-image".into(), options.images.runtime.clone()]);
    if let Some(carried) = &options.carried {
        args.extend(["--runtime-config-maps".into(), carried.runtime_maps().join(",")]);
        args.extend(["--runtime-sha256".into(), carried.runtime.sha256.clone()]);
    }
    args.extend(common_args(options));
    Role {
        name: names::CONTROLLER,
        args,
        ports: vec![container_port(&ports::ADMIN, None)],
        rollout: Rollout::NewFirst,
        replicas: options.controller_replicas,
        compute: &options.controller_compute,
        grace: CONTROLLER_GRACE,
    }
}

fn manager(options: &Options) -> Role<'_> {
    let mut args: Vec<String> = vec!["server".into()];
    for domain in &options.domains {
        args.extend(["--domain".into(), domain.to_string()]);
    }
    args.extend(["--http-port".into(), ports::MANAGER_HTTP.number.to_string()]);
    args.extend(["--https-port".into(), ports::MANAGER_HTTPS.number.to_string()]);
    args.extend(["--tls-secret".into(), names::TLS_SECRET.into()]);
    let auth = options.authentication == Authentication::Required;
    args.extend(["--auth".into(), auth.to_string()]);
    args.extend(common_args(options));
    let host_ports = options.host_ports();
    Role {
        name: names::MANAGER,
        args,
        ports: vec![
            container_port(&ports::MANAGER_HTTP, host_ports.and_then(|host| host.http)),
            container_port(&ports::MANAGER_HTTPS, host_ports.map(|host| host.https)),
            container_port(&ports::ADMIN, None),
        ],
        rollout: match host_ports {
            Some(_) => Rollout::OldFirst,
            None => Rollout::NewFirst,
        },
        replicas: options.manager_replicas,
        compute: &options.manager_compute,
        grace: MANAGER_GRACE,
    }
}

fn common_args(options: &Options) -> Vec<String> {
    vec![
        "--admin-port".into(),
        ports::ADMIN.number.to_string(),
        "--token-key-file".into(),
        format!("{}/{}", names::TOKEN_KEY_DIR, names::TOKEN_KEY_KEY),
        "--log-level".into(),
        options.log_level.to_string(),
    ]
}

fn deployment(role: &Role<'_>, options: &Options) -> Deployment {
    let identity = identity(role.name);
    let (surge, unavailable) = match role.rollout {
        Rollout::NewFirst => (1, 0),
        Rollout::OldFirst => (0, 1),
    };
    let mut pod_labels = labels::component(role.name);
    pod_labels.extend(identity.clone());
    Deployment {
        metadata: metadata(role.name, role.name),
        spec: Some(DeploymentSpec {
            replicas: Some(i32::try_from(role.replicas).unwrap_or(i32::MAX)),
            revision_history_limit: Some(3),
            selector: LabelSelector {
                match_labels: Some(identity.clone()),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(surge)),
                    max_unavailable: Some(IntOrString::Int(unavailable)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(role, options, identity)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// Labels that never change over versions, since a selector is immutable.
fn identity(component: &str) -> BTreeMap<String, String> {
    [
        (labels::APP_NAME.to_owned(), component.to_owned()),
        (labels::APP_PART_OF.to_owned(), names::PRODUCT.to_owned()),
    ]
    .into()
}

fn pod(role: &Role<'_>, options: &Options, identity: BTreeMap<String, String>) -> PodSpec {
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

fn container_port(port: &Port, host_port: Option<u16>) -> ContainerPort {
    ContainerPort {
        name: Some(port.name.into()),
        container_port: port.number.into(),
        host_port: host_port.map(i32::from),
        ..ContainerPort::default()
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

fn disruption_budget(component: &str) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(component, component),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(identity(component)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests;
