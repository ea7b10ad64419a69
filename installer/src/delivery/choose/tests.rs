//! Which way executables take into clusters of several kinds.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Taint, Toleration};
use silica_manifests::Options;

use super::*;
use crate::cli::check::Verdict;

fn node_of(name: &str, architecture: &str) -> NodeFact {
    NodeFact {
        name: name.into(),
        architecture: architecture.into(),
        boot: "boot".into(),
        images: vec![(["registry.k8s.io/pause:3.10".to_owned()].into(), 1)],
        ..NodeFact::default()
    }
}

fn machine(sockets: &[&str], boot: &str) -> Machine {
    Machine {
        sockets: sockets.iter().map(PathBuf::from).collect(),
        tools: Vec::new(),
        boot: boot.into(),
        machine: String::new(),
    }
}

fn situation<'a>(way: ImageDelivery, nodes: &'a [NodeFact], machine: &'a Machine) -> Situation<'a> {
    Situation {
        way,
        registry: None,
        borrow: None,
        is_socket_named: false,
        placement: Placement::default(),
        nodes: Some(nodes),
        machine,
        bundled: &[Architecture::Amd64],
        has_loader: true,
    }
}

fn registry() -> RegistrySettings {
    RegistrySettings {
        address: "r.example.com/silica".parse().unwrap(),
        transport: silica_registry::Transport::default(),
        make_pull_secret: None,
    }
}

#[test]
fn the_only_node_on_this_kernel_gets_an_import_and_any_other_config_maps() {
    let nodes = [node_of("a", "amd64")];
    let target = |machine: &Machine, nodes: &[NodeFact]| {
        choose(&situation(ImageDelivery::Auto, nodes, machine)).unwrap().0
    };
    let here = machine(&["/c.sock"], "boot");
    assert!(matches!(target(&here, &nodes), Target::Containerd { .. }));
    // The containerd of this machine is not the cluster's.
    let elsewhere = machine(&["/c.sock"], "another");
    assert!(matches!(target(&elsewhere, &nodes), Target::Carried { .. }));
    let two = [node_of("a", "amd64"), node_of("b", "amd64")];
    assert!(matches!(target(&here, &two), Target::Carried { .. }));
    let mut named = situation(ImageDelivery::Auto, &nodes, &elsewhere);
    named.is_socket_named = true;
    assert!(matches!(choose(&named).unwrap().0, Target::Containerd { .. }));
}

#[test]
fn a_named_registry_is_used() {
    let (nodes, here) = ([node_of("a", "amd64")], machine(&["/c.sock"], "boot"));
    let registry = registry();
    let mut wanted = situation(ImageDelivery::Auto, &nodes, &here);
    wanted.registry = Some(&registry);
    assert_eq!(choose(&wanted).unwrap().0, Target::Registry(registry.clone()));
    wanted.registry = None;
    wanted.way = ImageDelivery::Registry;
    assert!(choose(&wanted).unwrap_err().hint.starts_with("--registry"));
}

#[test]
fn clusters_in_containers_are_recognised_and_their_command_told() {
    let mut kind = node_of("dev-control-plane", "amd64");
    kind.provider = "kind://docker/dev/dev-control-plane".into();
    let mut k3d = node_of("k3d-my-lab-server-0", "amd64");
    k3d.provider = "k3s://k3d-my-lab-server-0".into();
    for (node, tool, cluster, command) in [
        (
            kind,
            Tool::Kind,
            "dev",
            "kind load image-archive silica-images.tar --name dev",
        ),
        (
            k3d,
            Tool::K3d,
            "my-lab",
            "k3d image import silica-images.tar --cluster my-lab",
        ),
    ] {
        let nodes = [node];
        let mut machine = machine(&[], "");
        let refusal = choose(&situation(ImageDelivery::Node, &nodes, &machine)).unwrap_err();
        assert!(refusal.hint.contains(command), "{}", refusal.hint);
        machine.tools.push(tool);
        let (target, _) = choose(&situation(ImageDelivery::Auto, &nodes, &machine)).unwrap();
        assert!(
            matches!(target, Target::Tool { tool: chosen, cluster: name, .. } if chosen == tool && name == cluster)
        );
    }
}

#[test]
fn k3s_is_told_its_own_importer() {
    let mut node = node_of("a", "amd64");
    node.kubelet = "v1.33.1+k3s1".into();
    let (nodes, machine) = ([node], machine(&[], ""));
    let refusal = choose(&situation(ImageDelivery::Node, &nodes, &machine)).unwrap_err();
    assert!(refusal.hint.contains("k3s ctr images import"), "{}", refusal.hint);
}

#[test]
fn without_an_image_to_run_on_nothing_is_possible_unless_one_is_named() {
    let mut node = node_of("a", "amd64");
    node.images.clear();
    let (nodes, machine) = ([node], machine(&[], ""));
    let mut wanted = situation(ImageDelivery::ConfigMap, &nodes, &machine);
    let refused = choose(&wanted);
    assert_eq!(judge(&wanted, &refused).verdict, Verdict::Fail);
    assert!(refused.unwrap_err().hint.contains("--borrow-image"));
    wanted.borrow = Some("a:1");
    assert!(matches!(choose(&wanted).unwrap().0, Target::Carried { image, .. } if image == "a:1"));
}

#[test]
fn nodes_of_another_architecture_are_found_before_they_fail() {
    let machine = machine(&[], "");
    let nodes = [node_of("a", "amd64"), node_of("b", "arm64")];
    let mixed = situation(ImageDelivery::ConfigMap, &nodes, &machine);
    let check = judge_architectures(&mixed, None);
    assert_eq!(check.verdict, Verdict::Warn);
    assert!(check.detail.contains("b (arm64)"));
    assert!(choose(&mixed).unwrap_err().why.contains("amd64 and arm64"));
    let only = [node_of("b", "arm64")];
    let other = situation(ImageDelivery::ConfigMap, &only, &machine);
    assert_eq!(judge_architectures(&other, None).verdict, Verdict::Fail);
    let mut options = options();
    options.node_selector = [("kubernetes.io/arch".to_owned(), "amd64".to_owned())].into();
    let chosen = Situation {
        placement: Placement::of(&options),
        ..mixed
    };
    assert!(choose(&chosen).is_ok());
}

fn options() -> Options {
    let images = silica_manifests::Images {
        manager: String::new(),
        runtime: String::new(),
    };
    Options::new("a.example".parse().unwrap(), images)
}

#[test]
fn any_label_that_is_asked_for_chooses_the_architecture() {
    let machine = machine(&[], "");
    let mut edge = node_of("b", "arm64");
    edge.labels = [("pool".to_owned(), "edge".to_owned())].into();
    let nodes = [node_of("a", "amd64"), edge];
    let mut options = options();
    options.node_selector = nodes[1].labels.clone();
    let mut wanted = situation(ImageDelivery::ConfigMap, &nodes, &machine);
    wanted.bundled = &[Architecture::Amd64, Architecture::Arm64];
    assert!(choose(&wanted).unwrap_err().why.contains("amd64 and arm64"));
    wanted.placement = Placement::of(&options);
    let choice = choose(&wanted).unwrap();
    let Target::Carried { architecture, .. } = choice.0 else {
        panic!("another way")
    };
    assert_eq!(architecture, Architecture::Arm64);
    // Sandboxes may start on the other node, which gets nothing.
    let check = judge_architectures(&wanted, Some(&choice));
    assert_eq!(check.verdict, Verdict::Warn);
    assert!(check.detail.contains("a (amd64)"), "{}", check.detail);
}

#[test]
fn a_tainted_node_counts_when_our_pods_tolerate_it() {
    let mut tainted = node_of("a", "amd64");
    tainted.taints = vec![taint("node-role.kubernetes.io/control-plane")];
    let (nodes, machine) = ([tainted], machine(&[], ""));
    let mut wanted = situation(ImageDelivery::ConfigMap, &nodes, &machine);
    assert!(choose(&wanted).is_err());
    let mut options = options();
    options.tolerations = vec![Toleration {
        key: Some("node-role.kubernetes.io/control-plane".into()),
        operator: Some("Exists".into()),
        ..Toleration::default()
    }];
    wanted.placement = Placement::of(&options);
    assert!(matches!(choose(&wanted).unwrap().0, Target::Carried { .. }));
}

fn taint(key: &str) -> Taint {
    Taint {
        key: key.into(),
        effect: "NoSchedule".into(),
        ..Taint::default()
    }
}

#[test]
fn the_containerd_of_this_machine_is_no_way_onto_other_nodes() {
    let here = machine(&["/c.sock"], "boot");
    let mut other = node_of("b", "amd64");
    other.boot = "another".into();
    // None of the nodes is this machine.
    let nodes = [other.clone()];
    let mut wanted = situation(ImageDelivery::Node, &nodes, &here);
    let refusal = choose(&wanted).unwrap_err();
    assert!(refusal.why.contains("none of the nodes (b)"), "{}", refusal.why);
    // A socket that was named may lead there all the same, which is worth a word.
    wanted.is_socket_named = true;
    let choice = choose(&wanted);
    let check = judge(&wanted, &choice);
    assert_eq!(check.verdict, Verdict::Warn);
    assert!(check.detail.ends_with(" of b"), "{}", check.detail);
    // One of two is.
    let nodes = [node_of("a", "amd64"), other];
    let wanted = situation(ImageDelivery::Node, &nodes, &here);
    let choice = choose(&wanted);
    let check = judge(&wanted, &choice);
    assert_eq!(check.verdict, Verdict::Warn);
    assert!(check.detail.ends_with(" of b"), "{}", check.detail);
    let nodes = [node_of("a", "amd64")];
    let wanted = situation(ImageDelivery::Node, &nodes, &here);
    assert_eq!(judge(&wanted, &choose(&wanted)).verdict, Verdict::Pass);
}

#[test]
fn nodes_in_containers_share_a_kernel_and_not_a_machine() {
    let mut here = machine(&["/c.sock"], "boot");
    here.machine = "host".into();
    let container = |name: &str| NodeFact {
        machine: name.into(),
        ..node_of(name, "amd64")
    };
    let nodes = [container("a"), container("b")];
    let wanted = situation(ImageDelivery::Node, &nodes, &here);
    let refusal = choose(&wanted).unwrap_err();
    assert!(
        refusal.why.contains("none of the nodes (a, b)"),
        "{}",
        refusal.why
    );
}

#[test]
fn a_node_that_takes_no_pods_does_not_count() {
    let mut tainted = node_of("b", "arm64");
    tainted.taints = vec![taint("dedicated")];
    tainted.images.clear();
    let (nodes, machine) = ([node_of("a", "amd64"), tainted], machine(&[], ""));
    let situation = situation(ImageDelivery::Auto, &nodes, &machine);
    assert!(matches!(choose(&situation).unwrap().0, Target::Carried { .. }));
    assert_eq!(judge_architectures(&situation, None).verdict, Verdict::Pass);
}
