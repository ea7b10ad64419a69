//! Which way executables take into clusters of several kinds.

use std::path::PathBuf;

use super::*;
use crate::check::Verdict;

fn node_of(name: &str, architecture: &str) -> NodeFact {
    NodeFact {
        name: name.into(),
        architecture: architecture.into(),
        is_schedulable: true,
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
    }
}

static EMPTY: BTreeMap<String, String> = BTreeMap::new();

fn situation<'a>(way: ImageDelivery, nodes: &'a [NodeFact], machine: &'a Machine) -> Situation<'a> {
    Situation {
        way,
        registry: None,
        borrow: None,
        is_socket_named: false,
        selector: &EMPTY,
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
    assert_eq!(judge(&refused).verdict, Verdict::Fail);
    assert!(refused.unwrap_err().hint.contains("--borrow-image"));
    wanted.borrow = Some("a:1");
    assert!(matches!(choose(&wanted).unwrap().0, Target::Carried { image, .. } if image == "a:1"));
}

#[test]
fn nodes_of_another_architecture_are_found_before_they_fail() {
    let machine = machine(&[], "");
    let nodes = [node_of("a", "amd64"), node_of("b", "arm64")];
    let mixed = situation(ImageDelivery::ConfigMap, &nodes, &machine);
    let check = judge_architectures(&mixed);
    assert_eq!(check.verdict, Verdict::Warn);
    assert!(check.detail.contains("b (arm64)"));
    assert!(choose(&mixed).unwrap_err().why.contains("amd64 and arm64"));
    let only = [node_of("b", "arm64")];
    let other = situation(ImageDelivery::ConfigMap, &only, &machine);
    assert_eq!(judge_architectures(&other).verdict, Verdict::Fail);
    let selector = [("kubernetes.io/arch".to_owned(), "amd64".to_owned())].into();
    let chosen = Situation {
        selector: &selector,
        ..mixed
    };
    assert!(choose(&chosen).is_ok());
}

#[test]
fn a_node_that_takes_no_pods_does_not_count() {
    let mut tainted = node_of("b", "arm64");
    tainted.is_schedulable = false;
    tainted.images.clear();
    let (nodes, machine) = ([node_of("a", "amd64"), tainted], machine(&[], ""));
    let situation = situation(ImageDelivery::Auto, &nodes, &machine);
    assert!(matches!(choose(&situation).unwrap().0, Target::Carried { .. }));
    assert_eq!(judge_architectures(&situation).verdict, Verdict::Pass);
}
