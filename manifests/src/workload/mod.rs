//! Deployments and disruption budgets of the two roles.
//!
//! Both run the same image with a role argument, under the `restricted` Pod
//! Security level: no root, no writable file system, no capability.

mod pod;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{ContainerPort, PodTemplateSpec},
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use kube::core::ObjectMeta;
use silica_api::{
    labels, names,
    ports::{self, Port},
};

use self::pod::pod;
use crate::{
    bag::{Object, Objects, Phase},
    namespace::metadata,
    options::{Authentication, Compute, Options},
};

/// How long a manager may take to finish open streams, in seconds.
const MANAGER_GRACE: i64 = 60;
/// How long a controller may take to give up its Lease, in seconds.
const CONTROLLER_GRACE: i64 = 10;

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

fn container_port(port: &Port, host_port: Option<u16>) -> ContainerPort {
    ContainerPort {
        name: Some(port.name.into()),
        container_port: port.number.into(),
        host_port: host_port.map(i32::from),
        ..ContainerPort::default()
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
