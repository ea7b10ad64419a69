//! Whether the nodes are new enough and have room for our own pods.

use std::collections::BTreeMap;

use silica_manifests::{Compute, Options};

use super::MINOR_FLOOR;
use crate::{
    cli::check::Check,
    facts::{Amounts, Known, NodeFact, nodes::milli, placement::Placement},
};

/// Native sidecars, which the templates of users rely on, are the kubelet's work.
pub(super) fn sidecars(nodes: &Known<Vec<NodeFact>>) -> Check {
    let id = "native-sidecars";
    let title = "the nodes run native sidecar containers";
    let nodes = match nodes {
        Known::Forbidden(why) => return Check::skip(id, title, format!("nodes may not be listed: {why}")),
        Known::Read(nodes) => nodes,
    };
    let old: Vec<&str> = nodes
        .iter()
        .filter(|node| node.kubelet_minor.is_some_and(|minor| minor < MINOR_FLOOR))
        .map(|node| node.name.as_str())
        .collect();
    if old.is_empty() {
        return Check::pass(id, title);
    }
    let detail = format!("kubelets older than v1.{MINOR_FLOOR}: {}", old.join(", "));
    if old.len() == nodes.len() {
        return Check::fail(id, title, detail).hint("upgrade the nodes");
    }
    Check::warn(id, title, detail)
        .hint("upgrade these nodes, or keep pods off them: --node-selector KEY=VALUE")
}

/// Whether the pods of controller and manager find a place.
pub(super) fn room(options: &Options, nodes: &Known<Vec<NodeFact>>) -> Check {
    let id = "capacity";
    let title = "the nodes have room for controller and manager";
    let nodes = match nodes {
        Known::Forbidden(why) => return Check::skip(id, title, format!("nodes may not be listed: {why}")),
        Known::Read(nodes) => nodes,
    };
    if nodes.is_empty() {
        return Check::warn(
            id,
            title,
            "the cluster has no nodes; nothing runs until one joins",
        );
    }
    let placement = Placement::of(options);
    let mut free: Vec<Amounts> = nodes
        .iter()
        .filter(|node| node.takes_pods && placement.accepts(&node.labels, &node.taints))
        .map(|node| node.free)
        .collect();
    if free.is_empty() {
        return Check::fail(
            id,
            title,
            format!("none of the {} nodes takes these pods: not ready, cordoned, tainted, or without the labels that are asked for", nodes.len()),
        )
        .hint("kubectl get nodes; then --node-selector KEY=VALUE or --toleration KEY=VALUE:EFFECT");
    }
    let roles = [
        ("manager", options.manager_replicas, &options.manager_compute),
        (
            "controller",
            options.controller_replicas,
            &options.controller_compute,
        ),
    ];
    let mut missing = Vec::new();
    let mut has_none = false;
    // One of each comes first: the product works with that.
    let mut placed: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, _, compute) in roles {
        placed.insert(name, u32::from(place(&mut free, &request(compute))));
    }
    for (name, replicas, compute) in roles {
        let placed = placed.entry(name).or_default();
        has_none |= *placed == 0;
        while *placed > 0 && *placed < replicas && place(&mut free, &request(compute)) {
            *placed += 1;
        }
        if *placed < replicas {
            missing.push(format!(
                "{placed} of {replicas} {name} pods fit ({} CPU and {} memory each)",
                compute.cpu, compute.memory
            ));
        }
    }
    if missing.is_empty() {
        return Check::pass(id, title);
    }
    let hint = "free or add nodes, or ask for less: --manager-replicas N --proxy-cpu QUANTITY --proxy-memory QUANTITY";
    if has_none {
        Check::fail(id, title, missing.join("; ")).hint(hint)
    } else {
        Check::warn(id, title, missing.join("; ")).hint(hint)
    }
}

fn request(compute: &Compute) -> Amounts {
    Amounts {
        cpu_milli: milli(&compute.cpu).unwrap_or_default(),
        memory: milli(&compute.memory).unwrap_or_default() / 1000,
        pods: 1,
    }
}

/// Takes the room on the node that has most CPU left, as the scheduler would.
fn place(free: &mut [Amounts], wanted: &Amounts) -> bool {
    let best = free
        .iter_mut()
        .filter(|node| node.holds(wanted))
        .max_by_key(|node| node.cpu_milli);
    match best {
        Some(node) => {
            *node = node.without(wanted);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Taint, Toleration};
    use silica_manifests::Images;

    use super::*;
    use crate::cli::check::Verdict;

    fn options() -> Options {
        let images = Images {
            manager: String::new(),
            runtime: String::new(),
        };
        Options::new("a.example".parse().unwrap(), images)
    }

    fn node(cpu_milli: u64) -> NodeFact {
        NodeFact {
            name: format!("n{cpu_milli}"),
            takes_pods: true,
            kubelet_minor: Some(35),
            free: Amounts {
                cpu_milli,
                memory: 1 << 30,
                pods: 10,
            },
            ..NodeFact::default()
        }
    }

    fn verdict(options: &Options, nodes: Vec<NodeFact>) -> Verdict {
        room(options, &Known::Read(nodes)).verdict
    }

    #[test]
    fn requests_are_held_against_what_each_node_has_left() {
        // Three managers and two controllers of 50m each.
        assert_eq!(verdict(&options(), vec![node(250)]), Verdict::Pass);
        assert_eq!(verdict(&options(), vec![node(150), node(120)]), Verdict::Pass);
        assert_eq!(verdict(&options(), vec![node(240)]), Verdict::Warn);
        // The sum would be enough, no single node is.
        assert_eq!(
            verdict(&options(), vec![node(49), node(49), node(49)]),
            Verdict::Fail
        );
        assert_eq!(verdict(&options(), vec![node(99)]), Verdict::Fail);
        assert_eq!(verdict(&options(), Vec::new()), Verdict::Warn);
    }

    #[test]
    fn who_may_not_list_nodes_installs_nevertheless() {
        let unknown = Known::Forbidden("no".into());
        assert_eq!(room(&options(), &unknown).verdict, Verdict::Skip);
        assert_eq!(sidecars(&unknown).verdict, Verdict::Skip);
    }

    #[test]
    fn labels_and_taints_decide_which_nodes_count() {
        let mut tainted = node(1000);
        tainted.taints = vec![Taint {
            key: "dedicated".into(),
            value: Some("gpu".into()),
            effect: "NoSchedule".into(),
            ..Taint::default()
        }];
        assert_eq!(verdict(&options(), vec![tainted.clone()]), Verdict::Fail);
        let mut tolerant = options();
        tolerant.tolerations = vec![Toleration {
            key: Some("dedicated".into()),
            operator: Some("Exists".into()),
            ..Toleration::default()
        }];
        assert_eq!(verdict(&tolerant, vec![tainted]), Verdict::Pass);
        let mut picky = options();
        picky.node_selector = [("disk".to_owned(), "ssd".to_owned())].into();
        assert_eq!(verdict(&picky, vec![node(1000)]), Verdict::Fail);
    }

    #[test]
    fn old_kubelets_stop_only_when_there_are_no_others() {
        let old = NodeFact {
            kubelet_minor: Some(27),
            ..node(1)
        };
        assert_eq!(sidecars(&Known::Read(vec![old.clone()])).verdict, Verdict::Fail);
        let check = sidecars(&Known::Read(vec![old, node(2)]));
        assert_eq!(check.verdict, Verdict::Warn);
        assert!(check.detail.contains("n1"));
        assert_eq!(sidecars(&Known::Read(Vec::new())).verdict, Verdict::Pass);
    }
}
