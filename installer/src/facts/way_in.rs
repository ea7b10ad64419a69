//! What the cluster has for the ways in that were chosen: whoever serves an
//! Ingress or a Gateway, and nodes that can give ports away.

use k8s_openapi::api::{
    core::v1::{Node, Pod},
    networking::v1::Ingress,
};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::Value;
use silica_api::names;
use silica_manifests::{
    GatewayOptions, Options,
    gateway::{GROUP, VERSION, class_resource, gateway_resource},
};

use super::IngressClassFact;
use crate::{
    cluster::{Cluster, Error, found, is_ready, request},
    facts::placement::Placement,
};

/// How many objects are looked at for a sign of life.
const SAMPLE: u32 = 500;
/// Controllers that run as pods of the cluster: (start of `spec.controller` of
/// their IngressClass, label selector of their pods in their usual packages).
const CONTROLLERS: [(&str, &str); 8] = [
    (
        "k8s.io/ingress-nginx",
        "app.kubernetes.io/name in (ingress-nginx,rke2-ingress-nginx)",
    ),
    (
        "nginx.org/ingress-controller",
        "app.kubernetes.io/name=nginx-ingress",
    ),
    ("traefik.io/ingress-controller", "app.kubernetes.io/name=traefik"),
    (
        "haproxy.org/ingress-controller",
        "app.kubernetes.io/name=kubernetes-ingress",
    ),
    (
        "haproxy-ingress.github.io/controller",
        "app.kubernetes.io/name=haproxy-ingress",
    ),
    ("projectcontour.io/", "app.kubernetes.io/name=contour"),
    (
        "ingress-controllers.konghq.com/kong",
        "app.kubernetes.io/name in (kong,ingress)",
    ),
    ("cilium.io/ingress-controller", "name=cilium-operator"),
];

/// What there is for the ways in; a way that was not chosen is not looked at.
#[derive(Clone, Debug, Default)]
pub struct WayIn {
    /// Of the chosen or default IngressClass, when it exists.
    pub controller: Option<ControllerFact>,
    /// Of the Gateway API.
    pub gateway: Option<GatewayFact>,
    /// How many nodes can hold a manager pod, when each needs ports of its node.
    pub nodes: Option<usize>,
}

/// Whether the controller of an IngressClass is at work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ControllerFact {
    /// It is, and this shows it.
    Works { sign: String },
    /// Its pods exist, and none is ready.
    Broken { pods: Vec<String> },
    /// It is known by its pods, and there are none.
    Absent { selector: &'static str },
    /// Nothing tells.
    Unknown { controller: String },
}

/// The Gateway API of the cluster.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GatewayFact {
    /// Whether its kinds are served in the version that is needed.
    pub is_served: bool,
    /// Classes, each with whether its controller has accepted it.
    pub classes: Vec<(String, bool)>,
    /// The Gateway of somebody else that was chosen, when it exists: whether one of
    /// its TLS listeners admits routes of our namespace.
    pub admits: Option<bool>,
}

impl WayIn {
    /// Reads what the options ask for.
    pub async fn read(
        cluster: &Cluster,
        options: &Options,
        classes: &[IngressClassFact],
    ) -> Result<Self, Error> {
        let class = options.ingress.as_ref().and_then(|ingress| match &ingress.class {
            Some(name) => classes.iter().find(|class| class.name == *name),
            None => classes.iter().find(|class| class.is_default),
        });
        let mut way_in = Self::default();
        if let Some(class) = class {
            way_in.controller = Some(read_controller(cluster, class).await?);
        }
        if let Some(gateway) = &options.gateway {
            way_in.gateway = Some(read_gateway(cluster, gateway).await?);
        }
        if options.host_ports().is_some() {
            way_in.nodes = Some(read_nodes(cluster, options).await?);
        }
        Ok(way_in)
    }
}

/// What a user who may not look at everything is not told.
fn allowed<T: Default>(read: Result<T, kube::Error>) -> Result<T, kube::Error> {
    match read {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(T::default()),
        other => other,
    }
}

async fn read_controller(cluster: &Cluster, class: &IngressClassFact) -> Result<ControllerFact, Error> {
    let ingresses: Api<Ingress> = Api::all(cluster.client.clone());
    let list = ingresses.list(&ListParams::default().limit(SAMPLE)).await;
    let ingresses = allowed(list.map(|list| list.items)).map_err(request("list", "Ingresses"))?;
    if let Some(served) = ingresses.iter().find(|ingress| is_served(ingress, &class.name)) {
        let namespace = served.namespace().unwrap_or_default();
        return Ok(ControllerFact::Works {
            sign: format!("Ingress {namespace}/{} has an address", served.name_any()),
        });
    }
    let known = CONTROLLERS
        .into_iter()
        .find(|(start, _)| class.controller.starts_with(start));
    let Some((_, selector)) = known else {
        return Ok(ControllerFact::Unknown {
            controller: class.controller.clone(),
        });
    };
    let pods: Api<Pod> = Api::all(cluster.client.clone());
    let list = pods
        .list(&ListParams::default().labels(selector).limit(SAMPLE))
        .await;
    let pods = match list {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(ControllerFact::Unknown {
                controller: class.controller.clone(),
            });
        }
        other => other.map_err(request("list", "the controller's pods"))?.items,
    };
    Ok(judge_pods(&pods, selector))
}

fn judge_pods(pods: &[Pod], selector: &'static str) -> ControllerFact {
    let title = |pod: &Pod| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
    if pods.is_empty() {
        return ControllerFact::Absent { selector };
    }
    match pods.iter().find(|pod| is_ready(pod)) {
        Some(pod) => ControllerFact::Works {
            sign: format!("pod {} is ready", title(pod)),
        },
        None => ControllerFact::Broken {
            pods: pods.iter().map(title).collect(),
        },
    }
}

fn is_served(ingress: &Ingress, class: &str) -> bool {
    let of_class = ingress
        .spec
        .as_ref()
        .is_some_and(|spec| spec.ingress_class_name.as_deref() == Some(class));
    let addresses = ingress
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    of_class && addresses.is_some_and(|addresses| !addresses.is_empty())
}

async fn read_gateway(cluster: &Cluster, options: &GatewayOptions) -> Result<GatewayFact, Error> {
    let version = format!("{GROUP}/{VERSION}");
    let kinds = found(cluster.client.list_api_group_resources(&version).await)
        .map_err(request("read the kinds of", version))?;
    let is_served = kinds.is_some_and(|kinds| {
        ["Gateway", "HTTPRoute"]
            .iter()
            .all(|wanted| kinds.resources.iter().any(|kind| kind.kind == *wanted))
    });
    if !is_served {
        return Ok(GatewayFact::default());
    }
    let mut fact = GatewayFact {
        is_served,
        ..GatewayFact::default()
    };
    match options {
        GatewayOptions::Own { .. } => {
            let classes = cluster
                .objects(&class_resource(), None)
                .list(&ListParams::default())
                .await
                .map_err(request("list", "GatewayClasses"))?;
            fact.classes = classes
                .iter()
                .map(|class| (class.name_any(), is_accepted(&class.data)))
                .collect();
        }
        GatewayOptions::Shared { namespace, name } => {
            let gateways = cluster.objects(&gateway_resource(), Some(namespace.as_ref()));
            let gateway = found(gateways.get(name).await)
                .map_err(request("read", format!("Gateway {namespace}/{name}")))?;
            fact.admits = gateway.map(|gateway| admits(&gateway.data, namespace.as_ref()));
        }
    }
    Ok(fact)
}

fn is_accepted(class: &Value) -> bool {
    let conditions = class["status"]["conditions"].as_array();
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition["type"] == "Accepted" && condition["status"] == "True")
    })
}

/// Whether a listener for TLS takes routes of our namespace. A selector may or may
/// not; the controller tells later.
fn admits(gateway: &Value, namespace: &str) -> bool {
    let listeners = gateway["spec"]["listeners"].as_array();
    listeners.into_iter().flatten().any(|listener| {
        let from = listener["allowedRoutes"]["namespaces"]["from"]
            .as_str()
            .unwrap_or("Same");
        let takes = match from {
            "Same" => namespace == names::NAMESPACE,
            "None" => false,
            _ => true,
        };
        listener["protocol"] == "HTTPS" && takes
    })
}

async fn read_nodes(cluster: &Cluster, options: &Options) -> Result<usize, Error> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let nodes = api
        .list(&ListParams::default())
        .await
        .map_err(request("list", "Nodes"))?;
    let placement = Placement::of(options);
    Ok(nodes.iter().filter(|node| fits(node, &placement)).count())
}

/// Whether a manager pod may start there.
fn fits(node: &Node, placement: &Placement<'_>) -> bool {
    let spec = node.spec.as_ref();
    let is_cordoned = spec.is_some_and(|spec| spec.unschedulable == Some(true));
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    !is_cordoned && placement.accepts(node.labels(), taints)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::Toleration, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n"},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
        .unwrap()
    }

    #[test]
    fn one_ready_pod_shows_that_a_controller_works() {
        let fact = judge_pods(&[pod("a", "False"), pod("b", "True")], "s");
        assert_eq!(
            fact,
            ControllerFact::Works {
                sign: "pod n/b is ready".into()
            }
        );
        let broken = judge_pods(&[pod("a", "False")], "s");
        assert_eq!(
            broken,
            ControllerFact::Broken {
                pods: vec!["n/a".into()]
            }
        );
        assert_eq!(judge_pods(&[], "s"), ControllerFact::Absent { selector: "s" });
    }

    #[test]
    fn a_pod_that_is_about_to_go_is_no_sign_of_life() {
        let mut leaving = pod("a", "True");
        leaving.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert!(matches!(
            judge_pods(&[leaving], "s"),
            ControllerFact::Broken { .. }
        ));
    }

    #[test]
    fn only_an_address_of_the_same_class_is_a_sign_of_life() {
        let ingress = |class: &str, points: Value| -> Ingress {
            serde_json::from_value(
                json!({"metadata": {"name": "i"}, "spec": {"ingressClassName": class},
                "status": {"loadBalancer": {"ingress": points}}}),
            )
            .unwrap()
        };
        assert!(is_served(&ingress("a", json!([{"ip": "192.0.2.1"}])), "a"));
        assert!(!is_served(&ingress("b", json!([{"ip": "192.0.2.1"}])), "a"));
        assert!(!is_served(&ingress("a", json!([])), "a"));
    }

    #[test]
    fn a_shared_gateway_has_to_admit_our_namespace_for_tls() {
        let gateway = |protocol: &str, from: &str| {
            json!({"spec": {"listeners": [{"protocol": protocol,
                "allowedRoutes": {"namespaces": {"from": from}}}]}})
        };
        assert!(admits(&gateway("HTTPS", "All"), "infra"));
        assert!(!admits(&gateway("HTTPS", "Same"), "infra"));
        assert!(admits(&gateway("HTTPS", "Same"), names::NAMESPACE));
        assert!(!admits(&gateway("HTTP", "All"), "infra"));
    }

    #[test]
    fn cordoned_nodes_and_taints_that_are_not_tolerated_hold_no_pod_of_ours() {
        let images = silica_manifests::Images {
            manager: String::new(),
            runtime: String::new(),
        };
        let mut options = Options::new("a.example".parse().unwrap(), images);
        let node = |spec: Value| -> Node {
            serde_json::from_value(json!({"metadata": {"labels": {"edge": "true"}}, "spec": spec})).unwrap()
        };
        let tainted = json!({"taints": [{"key": "edge", "effect": "NoSchedule"}]});
        let held = |options: &Options, spec: &Value| fits(&node(spec.clone()), &Placement::of(options));
        assert!(held(&options, &json!({})));
        assert!(!held(&options, &json!({"unschedulable": true})));
        assert!(!held(&options, &tainted));
        options.node_selector = [("edge".to_owned(), "true".to_owned())].into();
        options.tolerations = vec![Toleration {
            key: Some("edge".into()),
            operator: Some("Exists".into()),
            effect: Some("NoSchedule".into()),
            ..Toleration::default()
        }];
        assert!(held(&options, &tainted));
        options.node_selector = [("edge".to_owned(), "false".to_owned())].into();
        assert!(!held(&options, &tainted));
    }
}
