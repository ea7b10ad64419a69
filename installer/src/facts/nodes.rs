//! The nodes: how old they are and how much room they have left.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Node, Pod, PodSpec, ResourceRequirements, Taint},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Api, ResourceExt, api::ListParams};
use silica_api::{labels, names};

use super::Known;
use crate::cluster::{Cluster, Error, request};

/// Pods that one request answers; clusters may have many thousands.
const PAGE: u32 = 500;

/// Compute resources of one node or pod.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Amounts {
    /// Thousandths of a CPU.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// Number of pods.
    pub pods: u64,
}

impl Amounts {
    /// Whether something of this size fits.
    pub const fn holds(&self, wanted: &Self) -> bool {
        self.cpu_milli >= wanted.cpu_milli && self.memory >= wanted.memory && self.pods >= wanted.pods
    }

    /// What is left after something was taken.
    #[must_use]
    pub const fn without(&self, taken: &Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_sub(taken.cpu_milli),
            memory: self.memory.saturating_sub(taken.memory),
            pods: self.pods.saturating_sub(taken.pods),
        }
    }

    const fn with(&self, other: &Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory: self.memory.saturating_add(other.memory),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    /// The larger of each.
    fn max(&self, other: &Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory: self.memory.max(other.memory),
            pods: self.pods.max(other.pods),
        }
    }
}

/// A node.
#[derive(Clone, Debug, Default)]
pub struct NodeFact {
    /// Name.
    pub name: String,
    /// Whether it takes new pods at all: ready and not cordoned.
    pub takes_pods: bool,
    /// Minor version of its kubelet, when it can be read.
    pub kubelet_minor: Option<u32>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// What is left for new pods. Our own pods count as not there, since an
    /// upgrade replaces them.
    pub free: Amounts,
}

/// Reads nodes and pods. Who may not list them installs nevertheless.
pub(super) async fn read(cluster: &Cluster) -> Result<Known<Vec<NodeFact>>, Error> {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let nodes = match nodes.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => return Known::unless_forbidden(request("list", "nodes")(error)),
    };
    let pods: Api<Pod> = Api::all(cluster.client.clone());
    let living = "status.phase!=Succeeded,status.phase!=Failed,spec.nodeName!=";
    let mut taken: BTreeMap<String, Amounts> = BTreeMap::new();
    let mut params = ListParams::default().fields(living).limit(PAGE);
    loop {
        let page = match pods.list(&params).await {
            Ok(page) => page,
            Err(error) => return Known::unless_forbidden(request("list", "pods")(error)),
        };
        for pod in page.items.iter().filter(|pod| !is_ours(pod)) {
            let Some(spec) = &pod.spec else { continue };
            let node = spec.node_name.clone().unwrap_or_default();
            let sum = taken.entry(node).or_default();
            *sum = sum.with(&requested(spec));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    let facts = nodes.iter().map(|node| {
        let used = taken.get(&node.name_any()).copied().unwrap_or_default();
        fact(node, &used)
    });
    Ok(Known::Read(facts.collect()))
}

fn is_ours(pod: &Pod) -> bool {
    let part_of = pod.labels().get(labels::APP_PART_OF);
    pod.namespace().as_deref() == Some(names::NAMESPACE) && part_of.is_some_and(|name| name == names::PRODUCT)
}

fn fact(node: &Node, used: &Amounts) -> NodeFact {
    let spec = node.spec.clone().unwrap_or_default();
    let status = node.status.clone().unwrap_or_default();
    let is_ready = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let kubelet = status
        .node_info
        .map(|info| info.kubelet_version)
        .unwrap_or_default();
    let allocatable = status.allocatable.unwrap_or_default();
    NodeFact {
        name: node.name_any(),
        takes_pods: is_ready && !spec.unschedulable.unwrap_or_default(),
        kubelet_minor: kubelet.split('.').nth(1).and_then(|minor| minor.parse().ok()),
        labels: node.labels().clone(),
        taints: spec.taints.unwrap_or_default(),
        free: amounts(&allocatable).without(used),
    }
}

/// What the scheduler sets aside for a pod: all containers and sidecars at once,
/// or the largest init container before them.
fn requested(spec: &PodSpec) -> Amounts {
    let of = |resources: &Option<ResourceRequirements>| {
        let requests = resources.as_ref().and_then(|all| all.requests.as_ref());
        requests.map(amounts).unwrap_or_default()
    };
    let mut running = spec.containers.iter().fold(Amounts::default(), |sum, container| {
        sum.with(&of(&container.resources))
    });
    let mut starting = Amounts::default();
    for container in spec.init_containers.iter().flatten() {
        let wanted = of(&container.resources);
        if container.restart_policy.as_deref() == Some("Always") {
            running = running.with(&wanted);
        } else {
            starting = starting.max(&wanted);
        }
    }
    let overhead = spec.overhead.as_ref().map(amounts).unwrap_or_default();
    let mut sum = running.max(&starting).with(&overhead);
    sum.pods = 1;
    sum
}

fn amounts(quantities: &BTreeMap<String, Quantity>) -> Amounts {
    let milli = |name: &str| quantities.get(name).and_then(|quantity| milli(&quantity.0));
    Amounts {
        cpu_milli: milli("cpu").unwrap_or_default(),
        memory: milli("memory").unwrap_or_default() / 1000,
        pods: milli("pods").unwrap_or_default() / 1000,
    }
}

/// Thousandths of a Kubernetes quantity, rounded up.
pub fn milli(quantity: &str) -> Option<u64> {
    let end = quantity
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(end);
    // As a fraction of thousandths: numerator and denominator.
    let (factor, divisor): (u128, u128) = match suffix {
        "n" => (1, 1_000_000),
        "u" => (1, 1_000),
        "m" => (1, 1),
        "" => (1_000, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1_000 << 10, 1),
        "Mi" => (1_000 << 20, 1),
        "Gi" => (1_000 << 30, 1),
        "Ti" => (1_000 << 40, 1),
        "Pi" => (1_000 << 50, 1),
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // More digits than this are below any thousandth that matters.
    let fraction = &fraction[..fraction.len().min(9)];
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let total = digits.checked_mul(factor)?.div_ceil(divisor.checked_mul(scale)?);
    u64::try_from(total).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_does() {
        for (text, wanted) in [
            ("2", 2_000),
            ("50m", 50),
            ("0.5", 500),
            ("1500000n", 2),
            ("64Mi", 67_108_864_000),
            ("1.5Gi", 1_610_612_736_000),
            ("2G", 2_000_000_000_000),
        ] {
            assert_eq!(milli(text), Some(wanted), "{text}");
        }
        for bad in ["", "x", "1X", "1..2"] {
            assert_eq!(milli(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_pod_takes_its_containers_and_sidecars_or_its_largest_init_container() {
        let requests = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "1Ki"}});
        let spec: PodSpec = serde_json::from_value(json!({
            "containers": [{"name": "a", "resources": requests("100m")}, {"name": "b", "resources": requests("200m")}],
            "initContainers": [
                {"name": "sidecar", "restartPolicy": "Always", "resources": requests("50m")},
                {"name": "first", "resources": requests("300m")}]}))
        .unwrap();
        assert_eq!(
            requested(&spec),
            Amounts {
                cpu_milli: 350,
                memory: 3072,
                pods: 1
            }
        );
    }

    #[test]
    fn a_node_that_is_cordoned_takes_no_pods() {
        let node = |unschedulable: bool| -> Node {
            serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": {"unschedulable": unschedulable},
                "status": {"conditions": [{"type": "Ready", "status": "True"}],
                    "allocatable": {"cpu": "2", "memory": "1Gi", "pods": "110"},
                    "nodeInfo": {"kubeletVersion": "v1.35.1", "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "",
                        "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "linux", "osImage": "", "systemUUID": ""}}}))
            .unwrap()
        };
        let used = Amounts {
            cpu_milli: 500,
            memory: 0,
            pods: 10,
        };
        let free = fact(&node(false), &used);
        assert!(free.takes_pods && !fact(&node(true), &used).takes_pods);
        assert_eq!(
            (free.free.cpu_milli, free.free.pods, free.kubelet_minor),
            (1500, 100, Some(35))
        );
    }
}
