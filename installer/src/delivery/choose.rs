//! Chooses the way. Pure: settings, nodes and this machine are all there is to know.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    RegistrySettings, Target, Tool,
    by_hand::ARCHIVE,
    machine::{Machine, SOCKETS},
    nodes::{NodeFact, common_image},
};
use crate::{bundle::Architecture, check::Check, settings::ImageDelivery};

/// Name of the check.
const ID: &str = "image-delivery";
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
    /// Labels of the nodes that our own pods ask for.
    pub selector: &'a BTreeMap<String, String>,
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
    /// Nodes that ordinary pods start on.
    fn eligible(&self) -> Vec<&NodeFact> {
        let nodes = self.nodes.unwrap_or_default();
        nodes.iter().filter(|node| node.is_schedulable).collect()
    }

    /// The architecture of the nodes, when they have one and the bundle has it.
    fn architecture(&self) -> Result<Architecture, Refusal> {
        let selected = self.selector.get(ARCHITECTURE_LABEL).cloned();
        let names: BTreeSet<String> = match selected {
            Some(name) => [name].into(),
            None => self
                .eligible()
                .iter()
                .map(|node| node.architecture.clone())
                .collect(),
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

    /// Whether every node runs on the kernel of this machine.
    fn is_local(&self) -> bool {
        let eligible = self.eligible();
        let boot = &self.machine.boot;
        eligible.len() == 1 && !boot.is_empty() && eligible.iter().all(|node| node.boot == *boot)
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
    if situation.is_socket_named || situation.way == ImageDelivery::Node || situation.is_local() {
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
    let is_k3s = situation
        .eligible()
        .iter()
        .any(|node| node.kubelet.contains("+k3s"));
    let importer = if is_k3s {
        "k3s ctr images import"
    } else {
        "ctr --namespace k8s.io images import"
    };
    Refusal {
        why: format!(
            "no containerd runs on this machine: looked for {}",
            SOCKETS.join(", ")
        ),
        hint: format!(
            "silica images export -o {ARCHIVE}, copy it to each node, there: {importer} {ARCHIVE}, then --images \
             none; or name the socket with --containerd-address, or use --registry or --images configmap"
        ),
    }
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

/// The choice as a check.
pub fn judge(choice: &Choice) -> Check {
    match choice {
        Ok((_, why)) => Check::pass(ID, format!("executables reach the nodes: {why}")),
        Err(Refusal { why, hint }) => {
            Check::fail(ID, "executables reach the nodes", why.clone()).hint(hint.clone())
        }
    }
}

/// Whether executables are there for all nodes that pods start on.
pub fn judge_architectures(situation: &Situation<'_>) -> Check {
    let id = "node-architecture";
    let eligible = situation.eligible();
    let is_bundled = |node: &&NodeFact| {
        Architecture::from_name(&node.architecture).is_some_and(|one| situation.bundled.contains(&one))
    };
    let (served, others): (Vec<&NodeFact>, Vec<&NodeFact>) = eligible.into_iter().partition(is_bundled);
    let title = format!("executables for {} fit the nodes", list(situation.bundled));
    let others: Vec<String> = others
        .iter()
        .map(|node| format!("{} ({})", node.name, node.architecture))
        .collect();
    if others.is_empty() {
        return Check::pass(id, title);
    }
    let hint = format!(
        "keep pods off them: --node-selector {ARCHITECTURE_LABEL}={}, and the same nodeSelector in your templates",
        list(situation.bundled)
    );
    let detail = format!("there is none for {}", others.join(", "));
    if served.is_empty() {
        Check::fail(id, title, detail)
            .hint("name images of that architecture: --manager-image IMAGE --runtime-image IMAGE")
    } else {
        Check::warn(id, title, detail).hint(hint)
    }
}

fn list(architectures: &[Architecture]) -> String {
    let names: Vec<&str> = architectures.iter().map(|one| one.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
