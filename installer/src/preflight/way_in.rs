//! Judges whether the chosen ways in lead anywhere.

use silica_manifests::{GatewayOptions, Options, gateway};

use crate::{
    cli::check::Check,
    facts::{
        IngressClassFact,
        way_in::{ControllerFact, GatewayFact, WayIn},
    },
};

/// One check for each way that depends on something in the cluster.
pub(super) fn judge(options: &Options, classes: &[IngressClassFact], facts: &WayIn) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(ingress) = &options.ingress {
        let has_other_way = options.direct.is_some() || options.gateway.is_some();
        checks.push(ingress_class(
            ingress.class.as_deref(),
            classes,
            facts.controller.as_ref(),
            has_other_way,
        ));
    }
    if let (Some(gateway), Some(fact)) = (&options.gateway, &facts.gateway) {
        checks.push(gateway_api(gateway, fact));
    }
    if let Some(nodes) = facts.nodes {
        checks.push(host_ports(options.manager_replicas, nodes));
    }
    checks
}

fn ingress_class(
    wanted: Option<&str>,
    classes: &[IngressClassFact],
    controller: Option<&ControllerFact>,
    has_other_way: bool,
) -> Check {
    let id = "ingress-class";
    let title = match wanted {
        Some(name) => format!("IngressClass {name} exists, and its controller runs"),
        None => "a default IngressClass exists, and its controller runs".to_owned(),
    };
    let stop = |detail: String| {
        if has_other_way {
            let detail = format!("{detail}; the Ingress waits until there is one");
            Check::warn(id, title.clone(), detail)
        } else {
            Check::fail(id, title.clone(), detail)
        }
    };
    match controller {
        None => stop(found(classes)).hint(match classes {
            [] => "install an ingress controller, or let the manager terminate TLS itself: --expose direct"
                .to_owned(),
            [first, ..] => format!("choose a class: --ingress-class {}", first.name),
        }),
        Some(ControllerFact::Works { .. }) => Check::pass(id, title),
        Some(ControllerFact::Broken { pods }) => {
            stop(format!("none of its pods is ready: {}", pods.join(", "))).hint(
                "kubectl describe pod tells why; or let the manager terminate TLS itself: --expose direct",
            )
        }
        Some(ControllerFact::Absent { selector }) => Check::warn(
            id,
            title,
            format!("no pod of it was found (label {selector}); the Ingress waits until there is one"),
        )
        .hint("install the controller, or let the manager terminate TLS itself: --expose direct"),
        Some(ControllerFact::Unknown { controller }) => Check::warn(
            id,
            title,
            format!("nothing shows whether {controller} runs: no Ingress of this class has an address yet"),
        )
        .hint("kubectl get ingress -A shows it once there is an address"),
    }
}

fn found(classes: &[IngressClassFact]) -> String {
    if classes.is_empty() {
        return "the cluster has none".to_owned();
    }
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    format!("the cluster has {}", names.join(", "))
}

fn gateway_api(options: &GatewayOptions, fact: &GatewayFact) -> Check {
    let id = "gateway";
    let title = match options {
        GatewayOptions::Own { class } => format!("GatewayClass {class} is accepted by its controller"),
        GatewayOptions::Shared { namespace, name } => {
            format!("Gateway {namespace}/{name} admits routes for TLS")
        }
    };
    if !fact.is_served {
        let detail = format!("the cluster serves no {}/{}", gateway::GROUP, gateway::VERSION);
        return Check::fail(id, title, detail).hint(
            "install the definitions (standard-install.yaml of a Gateway API release) and a controller, \
             or use --expose ingress or --expose direct",
        );
    }
    match (options, fact.admits) {
        (GatewayOptions::Own { class }, _) => {
            let known = fact.classes.iter().find(|(name, _)| name == class);
            match known {
                Some((_, true)) => Check::pass(id, title),
                Some(_) => Check::warn(
                    id,
                    title,
                    "no controller has accepted it; the Gateway waits until one does",
                )
                .hint(format!("kubectl describe gatewayclass {class}")),
                None => {
                    let names: Vec<&str> = fact.classes.iter().map(|(name, _)| name.as_str()).collect();
                    let detail = if names.is_empty() {
                        "the cluster has no GatewayClass".to_owned()
                    } else {
                        format!("the cluster has {}", names.join(", "))
                    };
                    Check::fail(id, title, detail).hint(
                        "install a controller for the Gateway API, or choose a class: --gateway-class NAME",
                    )
                }
            }
        }
        (GatewayOptions::Shared { .. }, Some(true)) => Check::pass(id, title),
        (GatewayOptions::Shared { .. }, Some(false)) => Check::fail(
            id,
            title,
            "no HTTPS listener of it takes routes of namespace sandbox-system",
        )
        .hint(
            "set allowedRoutes.namespaces.from of the listener to All, or to a Selector for that namespace",
        ),
        (GatewayOptions::Shared { .. }, None) => {
            Check::fail(id, title, "it does not exist").hint("kubectl get gateway -A lists them")
        }
    }
}

fn host_ports(replicas: u32, nodes: usize) -> Check {
    let id = "host-ports";
    let title = format!("each of {replicas} manager pods gets a node of its own");
    if usize::try_from(replicas).is_ok_and(|replicas| replicas <= nodes) {
        return Check::pass(id, title);
    }
    let plural = if nodes == 1 { "" } else { "s" };
    Check::fail(
        id,
        title,
        format!("{nodes} node{plural} can hold one, and two pods cannot have the same port of a node"),
    )
    .hint(format!("--manager-replicas {}", nodes.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::Verdict;

    fn class(name: &str) -> IngressClassFact {
        IngressClassFact {
            name: name.into(),
            is_default: false,
            controller: "example.com/c".into(),
        }
    }

    #[test]
    fn a_missing_ingress_class_stops_only_when_it_is_the_only_way_in() {
        let verdict = |wanted, other| ingress_class(wanted, &[class("nginx")], None, other).verdict;
        assert_eq!(verdict(Some("alb"), false), Verdict::Fail);
        assert_eq!(verdict(None, false), Verdict::Fail);
        assert_eq!(verdict(None, true), Verdict::Warn);
        let hint = ingress_class(Some("alb"), &[class("mse")], None, false)
            .hint
            .unwrap();
        assert!(hint.contains("--ingress-class mse"), "{hint}");
    }

    #[test]
    fn the_signs_of_a_controller_decide_between_three_states() {
        let verdict = |fact: ControllerFact| {
            ingress_class(Some("nginx"), &[class("nginx")], Some(&fact), false).verdict
        };
        assert_eq!(verdict(ControllerFact::Works { sign: "s".into() }), Verdict::Pass);
        assert_eq!(verdict(ControllerFact::Absent { selector: "s" }), Verdict::Warn);
        let unknown = ControllerFact::Unknown {
            controller: "c".into(),
        };
        assert_eq!(verdict(unknown), Verdict::Warn);
        assert_eq!(
            verdict(ControllerFact::Broken {
                pods: vec!["n/p".into()]
            }),
            Verdict::Fail
        );
    }

    fn own(fact: &GatewayFact) -> Verdict {
        gateway_api(&GatewayOptions::Own { class: "c".into() }, fact).verdict
    }

    #[test]
    fn a_gateway_needs_the_kinds_and_the_class() {
        let served = |classes: &[(&str, bool)]| GatewayFact {
            is_served: true,
            classes: classes
                .iter()
                .map(|(name, ok)| ((*name).to_owned(), *ok))
                .collect(),
            admits: None,
        };
        assert_eq!(own(&GatewayFact::default()), Verdict::Fail);
        assert_eq!(own(&served(&[("d", true)])), Verdict::Fail);
        assert_eq!(own(&served(&[("c", false)])), Verdict::Warn);
        assert_eq!(own(&served(&[("c", true)])), Verdict::Pass);
    }

    #[test]
    fn a_shared_gateway_has_to_exist_and_to_admit() {
        let shared = GatewayOptions::Shared {
            namespace: "infra".parse().unwrap(),
            name: "g".into(),
        };
        let verdict = |admits| {
            let fact = GatewayFact {
                is_served: true,
                classes: Vec::new(),
                admits,
            };
            gateway_api(&shared, &fact).verdict
        };
        assert_eq!(verdict(None), Verdict::Fail);
        assert_eq!(verdict(Some(false)), Verdict::Fail);
        assert_eq!(verdict(Some(true)), Verdict::Pass);
    }

    #[test]
    fn more_manager_pods_than_nodes_cannot_have_ports_of_nodes() {
        assert_eq!(host_ports(2, 2).verdict, Verdict::Pass);
        let check = host_ports(3, 1);
        assert_eq!(check.verdict, Verdict::Fail);
        assert_eq!(check.hint.as_deref(), Some("--manager-replicas 1"));
    }
}
