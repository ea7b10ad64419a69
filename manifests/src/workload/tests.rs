//! What the pods of both roles may do, and how an upgrade replaces them.

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec};
use silica_api::carried;

use super::*;
use crate::{DirectService, Images, ServiceType};

fn options() -> Options {
    let images = Images {
        manager: "m:1".into(),
        runtime: "r:1".into(),
    };
    Options::new("sbx.example.com".parse().unwrap(), images)
}

fn pod_spec(role: &Role<'_>, options: &Options) -> PodSpec {
    deployment(role, options).spec.unwrap().template.spec.unwrap()
}

#[test]
fn pods_meet_the_restricted_level() {
    let options = options();
    for role in [controller(&options), manager(&options)] {
        let spec = pod_spec(&role, &options);
        let pod = spec.security_context.unwrap();
        assert_eq!(
            (pod.run_as_non_root, pod.seccomp_profile.unwrap().type_.as_str()),
            (Some(true), "RuntimeDefault")
        );
        let container = spec.containers[0].security_context.clone().unwrap();
        assert_eq!(container.allow_privilege_escalation, Some(false));
        assert_eq!(container.read_only_root_filesystem, Some(true));
        assert_eq!(container.capabilities.unwrap().drop.unwrap(), ["ALL"]);
    }
}

#[test]
fn carried_executables_run_on_the_borrowed_image_without_more_rights() {
    let mut options = options();
    options.carried = Some(crate::executables::example());
    let spec = pod_spec(&manager(&options), &options);
    let init = &spec.init_containers.as_ref().unwrap()[0];
    let main = &spec.containers[0];
    assert_eq!(init.image, main.image);
    assert_eq!(main.command.as_deref().unwrap(), ["/silica/bin/sandbox-manager"]);
    assert_eq!(
        init.command.as_ref().unwrap().last().unwrap(),
        "/silica/bin/sandbox-manager"
    );
    for container in [init, main] {
        let context = container.security_context.clone().unwrap();
        assert_eq!(context.capabilities.unwrap().drop.unwrap(), ["ALL"]);
        assert_eq!(context.read_only_root_filesystem, Some(true));
    }
    let writable = |container: &Container| {
        let mounts = container.volume_mounts.clone().unwrap();
        mounts
            .iter()
            .any(|mount| mount.name == carried::BIN_VOLUME && mount.read_only == Some(false))
    };
    assert!(writable(init) && !writable(main));
    let args = controller(&options).args.join(" ");
    assert!(
        args.contains("--runtime-config-maps silica-loader-111111111111,sandbox-runtime-00-"),
        "{args}"
    );
}

#[test]
fn every_domain_reaches_the_server_role() {
    let mut options = options();
    options.domains.push("two.example.com".parse().unwrap());
    let args = manager(&options).args.join(" ");
    assert!(
        args.contains("--domain sbx.example.com --domain two.example.com"),
        "{args}"
    );
    assert!(args.contains("--auth true"), "{args}");
}

#[test]
fn a_single_replica_has_no_disruption_budget() {
    let mut options = options();
    options.manager_replicas = 1;
    let mut bag = Objects::default();
    add(&mut bag, &options);
    assert!(bag.find("PodDisruptionBudget", names::MANAGER).is_none());
    assert!(bag.find("PodDisruptionBudget", names::CONTROLLER).is_some());
}

#[test]
fn the_selector_is_part_of_the_pod_labels_and_holds_no_version() {
    let options = options();
    let spec = deployment(&manager(&options), &options).spec.unwrap();
    let labels = spec.template.metadata.unwrap().labels.unwrap();
    let selector = spec.selector.match_labels.unwrap();
    assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)));
    assert!(!selector.contains_key(labels::APP_VERSION));
}

#[test]
fn a_port_of_the_node_is_freed_before_the_next_pod_takes_it() {
    let mut options = options();
    options.direct = Some(DirectService {
        service_type: ServiceType::HostPort,
        ..DirectService::default()
    });
    let spec = deployment(&manager(&options), &options).spec.unwrap();
    let rolling = spec.strategy.unwrap().rolling_update.unwrap();
    assert_eq!(
        (rolling.max_surge, rolling.max_unavailable),
        (Some(IntOrString::Int(0)), Some(IntOrString::Int(1)))
    );
    let ports = spec.template.spec.unwrap().containers[0].ports.clone().unwrap();
    let host_ports: Vec<_> = ports
        .iter()
        .map(|port| (port.container_port, port.host_port))
        .collect();
    assert_eq!(host_ports, [(7788, None), (8443, Some(443)), (9090, None)]);
    let mut bag = Objects::default();
    crate::exposure::add(&mut bag, &options);
    assert!(bag.find("Service", names::MANAGER_DIRECT).is_none());
}

#[test]
fn secrets_are_mounted_never_put_into_the_environment() {
    let options = options();
    for role in [controller(&options), manager(&options)] {
        let container = &pod_spec(&role, &options).containers[0];
        let from_secret = |env: &EnvVar| {
            env.value_from
                .as_ref()
                .is_some_and(|source| source.secret_key_ref.is_some())
        };
        assert!(!container.env.iter().flatten().any(from_secret));
    }
}
