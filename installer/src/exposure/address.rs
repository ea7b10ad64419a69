//! Where the installation can be reached from outside, read from the cluster.

use std::net::IpAddr;

use k8s_openapi::api::{
    core::v1::{LoadBalancerIngress, Node, Pod, Service},
    networking::v1::Ingress,
};
use kube::{Api, ResourceExt, api::ListParams};
use silica_api::{labels, names, ports};
use silica_dns::Expected;

use crate::{
    cluster::{Cluster, Error, inventory, is_ready, request},
    exposure::gateway,
};

/// One way to connect to the manager with TLS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Route {
    /// A TCP connection to this host and port.
    Tcp { host: String, port: u16 },
    /// A connection forwarded by the API server to this pod.
    Forward { pod: String },
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Forward { pod } => write!(f, "pod {pod} through the API server"),
        }
    }
}

/// The addresses of an installation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Addresses {
    /// Chosen with `--address`: where clients reach it whatever the cluster reports.
    pub chosen: Vec<String>,
    /// Of the Ingress.
    pub ingress: Vec<String>,
    /// Of the Gateway.
    pub gateway: Vec<String>,
    /// The Gateway's port for TLS.
    pub gateway_port: u16,
    /// Nodes whose own port leads to the manager pod there, with that port.
    pub host_ports: Vec<(String, u16)>,
    /// Of the load balancer of the direct Service.
    pub load_balancer: Vec<String>,
    /// Of the nodes, when the direct Service has a node port for TLS.
    pub nodes: Vec<String>,
    /// That node port.
    pub node_port: Option<u16>,
    /// Pods of the manager that are ready.
    pub pods: Vec<String>,
}

impl Addresses {
    /// Reads them.
    pub async fn read(cluster: &Cluster) -> Result<Self, Error> {
        let client = || cluster.client.clone();
        let ingresses: Api<Ingress> = Api::namespaced(client(), names::NAMESPACE);
        let services: Api<Service> = Api::namespaced(client(), names::NAMESPACE);
        let title = |kind: &str, name: &str| format!("{kind} {}/{name}", names::NAMESPACE);
        let ingress = ingresses
            .get_opt(names::MANAGER)
            .await
            .map_err(request("read", title("Ingress", names::MANAGER)))?;
        let service = services.get_opt(names::MANAGER_DIRECT).await;
        let service = service.map_err(request("read", title("Service", names::MANAGER_DIRECT)))?;
        let gateway = gateway::read(cluster).await?;
        let pods = read_pods(cluster).await?;
        let node_port = service.as_ref().and_then(tls_node_port);
        let nodes = if node_port.is_some() {
            read_nodes(cluster).await?
        } else {
            Vec::new()
        };
        let inventory = inventory::read(cluster).await?;
        Ok(Self {
            chosen: inventory.map_or_else(Vec::new, |inventory| inventory.addresses()),
            ingress: ingress
                .and_then(|ingress| ingress.status?.load_balancer?.ingress)
                .map_or_else(Vec::new, |points| {
                    points
                        .into_iter()
                        .filter_map(|point| point.ip.or(point.hostname))
                        .collect()
                }),
            load_balancer: service
                .and_then(|service| service.status?.load_balancer?.ingress)
                .map_or_else(Vec::new, |points| points.into_iter().filter_map(point).collect()),
            nodes,
            node_port,
            gateway_port: gateway
                .as_ref()
                .map_or(ports::SERVICE_HTTPS.number, |gateway| gateway.port),
            gateway: gateway.map(|gateway| gateway.addresses).unwrap_or_default(),
            host_ports: pods.iter().filter_map(host_port).collect(),
            pods: pods.iter().map(ResourceExt::name_any).collect(),
        })
    }

    /// The ways to connect, best first.
    pub fn routes(&self) -> Vec<Route> {
        let tcp = |hosts: &[String], port: u16| {
            hosts
                .iter()
                .map(|host| Route::Tcp {
                    host: host.clone(),
                    port,
                })
                .collect::<Vec<_>>()
        };
        let mut routes = tcp(&self.load_balancer, ports::SERVICE_HTTPS.number);
        routes.extend(tcp(&self.ingress, ports::SERVICE_HTTPS.number));
        routes.extend(tcp(&self.gateway, self.gateway_port));
        for (host, port) in &self.host_ports {
            routes.extend(tcp(std::slice::from_ref(host), *port));
        }
        if let Some(port) = self.node_port {
            routes.extend(tcp(&self.nodes, port));
        }
        routes.extend(
            self.pods
                .iter()
                .take(1)
                .map(|pod| Route::Forward { pod: pod.clone() }),
        );
        routes
    }

    /// The ways that lead to one pod of the manager each, by a port of its node and
    /// through the API server.
    pub fn pod_routes(&self) -> Vec<Route> {
        let at_nodes = self.host_ports.iter().map(|(host, port)| Route::Tcp {
            host: host.clone(),
            port: *port,
        });
        let forwarded = self.pods.iter().map(|pod| Route::Forward { pod: pod.clone() });
        at_nodes.chain(forwarded).collect()
    }

    /// What DNS should lead to: what was chosen, else what the cluster reports.
    /// Ports other than 443 only when nothing better exists: clients need 443,
    /// which something in front of them provides.
    pub fn expected(&self) -> Vec<Expected> {
        let balanced = self
            .load_balancer
            .iter()
            .chain(&self.ingress)
            .chain(&self.gateway);
        let (direct, other): (Vec<_>, Vec<_>) = self
            .host_ports
            .iter()
            .partition(|(_, port)| *port == ports::SERVICE_HTTPS.number);
        let public: Vec<&String> = balanced.chain(direct.into_iter().map(|(host, _)| host)).collect();
        let hosts = if !self.chosen.is_empty() {
            self.chosen.iter().collect()
        } else if public.is_empty() {
            self.nodes
                .iter()
                .chain(other.into_iter().map(|(host, _)| host))
                .collect()
        } else {
            public
        };
        hosts.into_iter().map(|host| expected(host)).collect()
    }

    /// Where [`Addresses::expected`] comes from, for people.
    pub fn origin(&self) -> &'static str {
        if !self.chosen.is_empty() {
            "chosen with --address"
        } else if !self.load_balancer.is_empty() {
            "the load balancer of the Service"
        } else if !self.ingress.is_empty() {
            "the Ingress"
        } else if !self.gateway.is_empty() {
            "the Gateway"
        } else if !self.host_ports.is_empty() {
            "the nodes of the manager"
        } else if !self.nodes.is_empty() {
            "the nodes, whose port 443 needs something that leads to the node port"
        } else {
            "nothing: the cluster reports no address"
        }
    }
}

/// An address or a host name.
pub fn expected(host: &str) -> Expected {
    match host.parse::<IpAddr>() {
        Ok(address) => Expected::Ip(address),
        Err(_) => Expected::Hostname(host.to_owned()),
    }
}

/// What somebody typed is neither an address nor a host name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a host name")]
pub struct NotAnAddress(pub String);

/// Reads what somebody typed: an address or a host name, without scheme and port.
pub fn parse(text: &str) -> Result<Expected, NotAnAddress> {
    let refused = || NotAnAddress(text.to_owned());
    let expected = expected(text);
    if let Expected::Hostname(name) = &expected {
        let labels = name.strip_suffix('.').unwrap_or(name).split('.');
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
        };
        // A name that ends in a number would be a mistyped address (RFC 1123 section 2.1).
        let last = labels.clone().next_back().unwrap_or_default();
        let is_number = last.chars().all(|letter| letter.is_ascii_digit());
        if name.len() > 253 || is_number || !labels.clone().all(is_label) {
            return Err(refused());
        }
    }
    Ok(expected)
}

fn point(point: LoadBalancerIngress) -> Option<String> {
    point.ip.or(point.hostname)
}

fn tls_node_port(service: &Service) -> Option<u16> {
    let spec = service.spec.as_ref()?;
    // A load balancer has node ports too, but they are not the way in.
    if spec.type_.as_deref() != Some("NodePort") {
        return None;
    }
    let port = spec
        .ports
        .iter()
        .flatten()
        .find(|port| port.port == i32::from(ports::SERVICE_HTTPS.number))?;
    u16::try_from(port.node_port?).ok()
}

async fn read_nodes(cluster: &Cluster) -> Result<Vec<String>, Error> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let nodes = api
        .list(&ListParams::default())
        .await
        .map_err(request("list", "Nodes"))?;
    let mut hosts = Vec::new();
    for kind in ["ExternalIP", "InternalIP"] {
        for node in &nodes {
            let addresses = node
                .status
                .iter()
                .flat_map(|status| status.addresses.iter().flatten());
            hosts.extend(
                addresses
                    .filter(|address| address.type_ == kind)
                    .map(|address| address.address.clone()),
            );
        }
    }
    Ok(hosts)
}

/// [`Addresses::pod_routes`] as they are now.
pub async fn pod_routes(cluster: &Cluster) -> Result<Vec<Route>, Error> {
    let pods = read_pods(cluster).await?;
    let addresses = Addresses {
        host_ports: pods.iter().filter_map(host_port).collect(),
        pods: pods.iter().map(ResourceExt::name_any).collect(),
        ..Addresses::default()
    };
    Ok(addresses.pod_routes())
}

/// The manager's ready pods.
async fn read_pods(cluster: &Cluster) -> Result<Vec<Pod>, Error> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let selector = ListParams::default().labels(&format!("{}={}", labels::APP_NAME, names::MANAGER));
    let pods = api
        .list(&selector)
        .await
        .map_err(request("list", "the manager's pods"))?;
    Ok(pods.into_iter().filter(is_ready).collect())
}

/// The node's address and port that lead to a pod, if it has taken a port for TLS.
fn host_port(pod: &Pod) -> Option<(String, u16)> {
    let containers = &pod.spec.as_ref()?.containers;
    let port = containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten())
        .find(|port| port.name.as_deref() == Some(ports::MANAGER_HTTPS.name))?;
    let host = pod.status.as_ref()?.host_ip.clone()?;
    Some((host, u16::try_from(port.host_port?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses {
            ingress: vec!["lb.example.net".into()],
            nodes: vec!["10.0.0.1".into()],
            node_port: Some(30_443),
            pods: vec!["p1".into(), "p2".into()],
            ..Addresses::default()
        }
    }

    #[test]
    fn the_forwarded_connection_is_the_last_resort() {
        let routes: Vec<String> = addresses().routes().iter().map(ToString::to_string).collect();
        assert_eq!(
            routes,
            [
                "lb.example.net:443",
                "10.0.0.1:30443",
                "pod p1 through the API server"
            ]
        );
    }

    #[test]
    fn a_port_of_a_node_is_public_only_at_443() {
        let at = |port| Addresses {
            nodes: vec!["10.0.0.9".into()],
            host_ports: vec![("10.0.0.1".into(), port)],
            ..Addresses::default()
        };
        assert_eq!(at(443).expected(), [Expected::Ip("10.0.0.1".parse().unwrap())]);
        assert_eq!(at(9443).expected().len(), 2);
        assert_eq!(at(9443).routes()[0].to_string(), "10.0.0.1:9443");
    }

    #[test]
    fn addresses_are_typed_without_scheme_and_port() {
        assert_eq!(parse("::1"), Ok(Expected::Ip("::1".parse().unwrap())));
        assert_eq!(
            parse("lb.example.com"),
            Ok(Expected::Hostname("lb.example.com".into()))
        );
        for bad in [
            "",
            "https://a.b",
            "a.b:443",
            "[::1]",
            "10.0.0.300",
            "a..b",
            "*.a.b",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn dns_leads_to_nodes_only_when_there_is_nothing_better() {
        assert_eq!(
            addresses().expected(),
            [Expected::Hostname("lb.example.net".into())]
        );
        let only_nodes = Addresses {
            ingress: Vec::new(),
            ..addresses()
        };
        assert_eq!(only_nodes.expected(), [Expected::Ip("10.0.0.1".parse().unwrap())]);
        let chosen = Addresses {
            chosen: vec!["127.0.0.1".into()],
            ..addresses()
        };
        assert_eq!(chosen.expected(), [Expected::Ip("127.0.0.1".parse().unwrap())]);
    }
}
