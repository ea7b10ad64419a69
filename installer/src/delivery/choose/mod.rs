//! Chooses the way. Pure: settings, nodes and this machine are all there is to know.

mod judge;

use std::collections::BTreeSet;

pub use self::judge::{judge, judge_architectures};
use super::{
    Target, Tool,
    by_hand::ARCHIVE,
    machine::{Machine, SOCKETS},
    nodes::{NodeFact, common_image},
};
use crate::{
    delivery::bundle::Architecture,
    facts::placement::Placement,
    settings::{ImageDelivery, RegistrySettings},
};

/// Label of the processor architecture on nodes.
const ARCHITECTURE_LABEL: &str = "kubernetes.io/arch";

/// What is wanted, and what there is.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// The way that was asked for.
    pub way: ImageDelivery,
    /// The registry that was named.
    pub registry: Option<&'a RegistrySettings>,
    /// The image to run on that was named.
    pub borrow: Option<&'a str>,
    /// Whether a socket of containerd was named.
    pub is_socket_named: bool,
    /// What our own pods ask of a node.
    pub placement: Placement<'a>,
    /// The Linux nodes, when they may be read.
    pub nodes: Option<&'a [NodeFact]>,
    /// This machine.
    pub machine: &'a Machine,
    /// Architectures that the bundle has executables for.
    pub bundled: &'a [Architecture],
    /// Whether the bundle has a loader.
    pub has_loader: bool,
}

/// The way that was chosen, and why; or why none is possible and what to do.
pub type Choice = Result<(Target, String), Refusal>;

/// Why no way is possible.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// What is missing.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

fn refuse<T>(why: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        why: why.into(),
        hint: hint.into(),
    })
}

impl Situation<'_> {
    /// Nodes that take the pods of controller and manager.
    fn own(&self) -> Vec<&NodeFact> {
        let nodes = self.nodes.unwrap_or_default().iter();
        nodes
            .filter(|node| !node.is_cordoned && self.placement.accepts(&node.labels, &node.taints))
            .collect()
    }

    /// Nodes that executables have to reach: those of our own pods, and those that
    /// ordinary pods start on, which sandboxes are.
    fn eligible(&self) -> Vec<&NodeFact> {
        let nodes = self.nodes.unwrap_or_default().iter();
        let takes = |node: &&NodeFact| {
            self.placement.accepts(&node.labels, &node.taints)
                || Placement::default().accepts(&node.labels, &node.taints)
        };
        nodes.filter(|node| !node.is_cordoned && takes(node)).collect()
    }

    /// The architecture of the nodes, when they have one and the bundle has it. Whoever
    /// selects nodes has chosen with them.
    fn architecture(&self) -> Result<Architecture, Refusal> {
        let names: BTreeSet<String> = if let Some(name) = self.placement.selected(ARCHITECTURE_LABEL) {
            [name.to_owned()].into()
        } else {
            let own = self.own();
            let nodes = if self.placement.is_selective() && !own.is_empty() {
                own
            } else {
                self.eligible()
            };
            nodes.iter().map(|node| node.architecture.clone()).collect()
        };
        let mut names = names.into_iter();
        match (names.next(), names.next()) {
            // Without nodes it is as good a guess as any.
            (None, _) => Ok(self.bundled.first().copied().unwrap_or(Architecture::Amd64)),
            (Some(name), None) => {
                match Architecture::from_name(&name).filter(|one| self.bundled.contains(one)) {
                    Some(architecture) => Ok(architecture),
                    None => refuse(
                        format!(
                            "the nodes are {name}, and this silica carries {}",
                            list(self.bundled)
                        ),
                        "name images of that architecture: --manager-image IMAGE --runtime-image IMAGE",
                    ),
                }
            }
            (Some(one), Some(other)) => refuse(
                format!("the nodes are {one} and {other}, and only a registry serves several architectures"),
                format!(
                    "push to a registry: --registry HOST/PREFIX, or choose: --node-selector {ARCHITECTURE_LABEL}={one}"
                ),
            ),
        }
    }

    /// The kind or k3d cluster that the nodes are of, with its name.
    fn in_containers(&self) -> Option<(Tool, String)> {
        let node = self.nodes?.first()?;
        // kind://docker/CLUSTER/NODE
        if let Some(rest) = node.provider.strip_prefix("kind://") {
            return Some((Tool::Kind, rest.split('/').nth(1)?.to_owned()));
        }
        // k3s://k3d-CLUSTER-server-0
        let name = node.provider.strip_prefix("k3s://").unwrap_or(&node.name);
        let rest = name.strip_prefix("k3d-")?;
        let end = rest.rfind("-server-").or_else(|| rest.rfind("-agent-"))?;
        Some((Tool::K3d, rest[..end].to_owned()))
    }

    /// Whether the only node runs on the kernel of this machine.
    fn is_local(&self) -> bool {
        let eligible = self.eligible();
        let boot = &self.machine.boot;
        eligible.len() == 1 && !boot.is_empty() && eligible.iter().all(|node| node.boot == *boot)
    }

    /// Nodes that are not this machine, so that its containerd is not theirs. A node of
    /// which nothing is known may be.
    fn elsewhere(&self) -> Vec<&NodeFact> {
        let Machine { boot, machine, .. } = self.machine;
        let differs =
            |ours: &String, theirs: &String| !ours.is_empty() && !theirs.is_empty() && ours != theirs;
        let mut eligible = self.eligible();
        let on_this_kernel = eligible.iter().filter(|node| !differs(boot, &node.boot)).count();
        // Several nodes on one kernel are containers, and at most one of them is this system.
        let are_containers = on_this_kernel > 1;
        eligible
            .retain(|node| differs(boot, &node.boot) || (are_containers && differs(machine, &node.machine)));
        eligible
    }
}

/// Chooses.
pub fn choose(situation: &Situation<'_>) -> Choice {
    match situation.way {
        ImageDelivery::None => Ok((
            Target::Nowhere,
            "the nodes have them or pull them (--images none)".into(),
        )),
        ImageDelivery::Node => node(situation).unwrap_or_else(|| Err(no_node(situation))),
        ImageDelivery::Registry => match situation.registry {
            Some(registry) => Ok(registry_way(registry)),
            None => refuse("no registry is named", "--registry HOST[:PORT]/PREFIX"),
        },
        ImageDelivery::ConfigMap => carried(situation),
        ImageDelivery::Auto => match situation.registry {
            // Whoever names a registry means it.
            Some(registry) => Ok(registry_way(registry)),
            None => match node(situation) {
                Some(Ok(way)) => Ok(way),
                Some(Err(refusal)) => carried(situation).map_err(|_| refusal),
                None => carried(situation),
            },
        },
    }
}

fn registry_way(registry: &RegistrySettings) -> (Target, String) {
    (
        Target::Registry(registry.clone()),
        format!("through registry {}", registry.address),
    )
}

/// The way onto the nodes; `None` when there is no trace of one.
fn node(situation: &Situation<'_>) -> Option<Choice> {
    if let Some((tool, cluster)) = situation.in_containers() {
        if situation.machine.tools.contains(&tool) {
            return Some(situation.architecture().map(|architecture| {
                let why = format!("loaded by {} into cluster {cluster}", tool.program());
                let target = Target::Tool {
                    tool,
                    cluster,
                    architecture,
                };
                (target, why)
            }));
        }
        let command = tool.arguments(ARCHIVE, &cluster).join(" ");
        return Some(refuse(
            format!(
                "the cluster is one of {0}, and {0} is not on the search path",
                tool.program()
            ),
            format!(
                "silica images export -o {ARCHIVE} && {} {command}, then --images none",
                tool.program()
            ),
        ));
    }
    let socket = situation.machine.sockets.first()?;
    let is_asked_for = situation.is_socket_named || situation.way == ImageDelivery::Node;
    let elsewhere = situation.elsewhere();
    // A named socket may be that of a node, carried here in a way that nobody can see.
    if is_asked_for
        && !situation.is_socket_named
        && elsewhere.len() == situation.eligible().len()
        && let [first, ..] = elsewhere.as_slice()
    {
        return Some(refuse(
            format!(
                "containerd at {} belongs to this machine, which is none of the nodes ({})",
                socket.display(),
                names(&elsewhere)
            ),
            format!("run silica on the node; or {}", by_hand(importer(first))),
        ));
    }
    if is_asked_for || situation.is_local() {
        return Some(situation.architecture().map(|architecture| {
            let why = format!("imported into containerd at {}", socket.display());
            let target = Target::Containerd {
                socket: socket.clone(),
                architecture,
            };
            (target, why)
        }));
    }
    None
}

fn no_node(situation: &Situation<'_>) -> Refusal {
    let eligible = situation.eligible();
    let importer = importer(eligible.first().copied().unwrap_or(&NodeFact::default()));
    Refusal {
        why: format!(
            "no containerd runs on this machine: looked for {}",
            SOCKETS.join(", ")
        ),
        hint: format!(
            "{}; or name the socket with --containerd-address",
            by_hand(importer)
        ),
    }
}

/// The command that brings an archive into the containerd of a node like this one.
fn importer(node: &NodeFact) -> &'static str {
    if node.kubelet.contains("+k3s") {
        "k3s ctr images import"
    } else {
        "ctr --namespace k8s.io images import"
    }
}

fn by_hand(importer: &str) -> String {
    format!(
        "silica images export -o {ARCHIVE}, copy it to each node, there: {importer} {ARCHIVE}, then --images \
         none; or use --registry or --images configmap"
    )
}

fn names(nodes: &[&NodeFact]) -> String {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    names.join(", ")
}

fn carried(situation: &Situation<'_>) -> Choice {
    if !situation.has_loader {
        return refuse(
            "this silica carries no loader, which the way through ConfigMaps needs",
            "cargo xtask build makes a silica that does; or --registry HOST/PREFIX",
        );
    }
    let architecture = situation.architecture()?;
    let image = match situation.borrow {
        Some(image) => Some(image.to_owned()),
        None => common_image(&situation.eligible()),
    };
    match image {
        Some(image) => {
            let why = format!("in ConfigMaps, run on {image}, which every node has");
            Ok((Target::Carried { image, architecture }, why))
        }
        None => refuse(
            "there is no image that every node has already, to run on",
            "name a registry with --registry HOST/PREFIX, or an image that the nodes can pull with --borrow-image REF",
        ),
    }
}

fn list(architectures: &[Architecture]) -> String {
    let names: Vec<&str> = architectures.iter().map(|one| one.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
