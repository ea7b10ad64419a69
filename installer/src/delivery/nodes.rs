//! What the nodes say about themselves, as far as delivery depends on it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Taint};
use kube::{Api, ResourceExt, api::ListParams};

use crate::cluster::{Cluster, Error, request};

/// One node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFact {
    /// Name.
    pub name: String,
    /// Go's name of the processor architecture, such as `amd64`.
    pub architecture: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it takes new pods at all.
    pub is_cordoned: bool,
    /// Taints.
    pub taints: Vec<Taint>,
    /// `spec.providerID`.
    pub provider: String,
    /// Identity of the running kernel, which nodes in containers share.
    pub boot: String,
    /// Identity of the system, that of its `/etc/machine-id` as a rule.
    pub machine: String,
    /// Version of the kubelet, which k3s marks.
    pub kubelet: String,
    /// Images that are there: all names of each, and its size in bytes.
    pub images: Vec<(BTreeSet<String>, i64)>,
}

/// Reads the Linux nodes. `None` when the user may not: the check of rights tells so.
pub async fn read(cluster: &Cluster) -> Result<Option<Vec<NodeFact>>, Error> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    match api.list(&ListParams::default()).await {
        Ok(nodes) => Ok(Some(
            nodes.iter().filter(|node| is_linux(node)).map(fact).collect(),
        )),
        Err(error) => match request("list", "Nodes")(error) {
            Error::Forbidden { .. } => Ok(None),
            Error::Unreachable { why, .. } => Err(Error::Unreachable {
                server: cluster.server.clone(),
                why,
            }),
            other => Err(other),
        },
    }
}

fn is_linux(node: &Node) -> bool {
    let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
    info.is_none_or(|info| info.operating_system == "linux")
}

fn fact(node: &Node) -> NodeFact {
    let spec = node.spec.clone().unwrap_or_default();
    let status = node.status.clone().unwrap_or_default();
    let info = status.node_info.unwrap_or_default();
    NodeFact {
        name: node.name_any(),
        architecture: info.architecture,
        labels: node.labels().clone(),
        is_cordoned: spec.unschedulable == Some(true),
        taints: spec.taints.unwrap_or_default(),
        provider: spec.provider_id.unwrap_or_default(),
        boot: info.boot_id,
        machine: info.machine_id,
        kubelet: info.kubelet_version,
        images: status
            .images
            .into_iter()
            .flatten()
            .map(|image| {
                (
                    image.names.into_iter().flatten().collect(),
                    image.size_bytes.unwrap_or(i64::MAX),
                )
            })
            .collect(),
    }
}

/// The image to run on that every one of these nodes has: a pause image, which kubelets never
/// clean up, else the smallest. A tag is preferred to a digest, because it says more.
pub fn common_image(nodes: &[&NodeFact]) -> Option<String> {
    let (first, rest) = nodes.split_first()?;
    let has = |node: &&NodeFact, name: &String| node.images.iter().any(|(names, _)| names.contains(name));
    first
        .images
        .iter()
        .flat_map(|(names, size)| names.iter().map(move |name| (name, *size)))
        .filter(|(name, _)| rest.iter().all(|node| has(node, name)))
        .min_by_key(|(name, size)| (!is_pause(name), *size, name.contains('@'), *name))
        .map(|(name, _)| name.clone())
}

fn is_pause(name: &str) -> bool {
    let path = name.split(['@']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let last = last.split(':').next().unwrap_or_default();
    last == "pause" || last.ends_with("-pause") || last.starts_with("pause-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(images: &[(&[&str], i64)]) -> NodeFact {
        NodeFact {
            images: images
                .iter()
                .map(|(names, size)| (names.iter().map(|name| (*name).to_owned()).collect(), *size))
                .collect(),
            ..NodeFact::default()
        }
    }

    #[test]
    fn pause_is_preferred_and_named_by_its_tag() {
        let pause: (&[&str], i64) = (
            &["registry.k8s.io/pause@sha256:1", "registry.k8s.io/pause:3.10"],
            300,
        );
        let small: (&[&str], i64) = (&["a/tiny:1"], 10);
        let (one, two) = (node(&[small, pause]), node(&[pause, small]));
        assert_eq!(common_image(&[&one, &two]).unwrap(), "registry.k8s.io/pause:3.10");
    }

    #[test]
    fn without_pause_it_is_the_smallest_that_all_have() {
        let one = node(&[(&["a:1"], 10), (&["b:1"], 20), (&["c:1"], 30)]);
        let two = node(&[(&["c:1"], 30), (&["b:1"], 20)]);
        assert_eq!(common_image(&[&one, &two]).unwrap(), "b:1");
        assert_eq!(common_image(&[&one, &node(&[(&["d:1"], 1)])]), None);
        assert_eq!(common_image(&[]), None);
    }

    #[test]
    fn mirrors_of_pause_count_too() {
        for name in [
            "rancher/mirrored-pause:3.6",
            "r.example.com:5000/x/pause:3",
            "k/pause-amd64:3",
        ] {
            assert!(is_pause(name), "{name}");
        }
        assert!(!is_pause("a/pauses:1") && !is_pause("pause/app:1"));
    }
}
