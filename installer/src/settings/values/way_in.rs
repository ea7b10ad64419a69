//! How clients outside the cluster get in.

use std::collections::BTreeMap;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How clients outside the cluster get in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Exposure {
    /// The cluster's ingress controller terminates TLS
    Ingress,
    /// The manager terminates TLS itself, behind a Service of its own
    Direct,
    /// A Gateway terminates TLS (Gateway API)
    Gateway,
}

/// `ingress`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Ingress {
    /// Class of the Ingress; the cluster's default when absent
    #[schemars(extend("x-flag" = "ingress-class", "x-value" = "NAME", "x-heading" = "Exposure"))]
    pub class_name: Option<String>,
    /// Annotation of the Ingress, which wins over our own; may be repeated
    #[schemars(extend("x-flag" = "ingress-annotation", "x-heading" = "Exposure"))]
    pub annotations: BTreeMap<String, String>,
}

/// `service`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Service {
    /// Type of the Service for direct exposure
    #[serde(rename = "type")]
    #[schemars(extend("x-flag" = "service-type", "x-value" = "TYPE", "x-heading" = "Exposure"))]
    pub kind: ServiceKind,
    /// Annotation of the Service for direct exposure; may be repeated
    #[schemars(extend("x-flag" = "service-annotation", "x-heading" = "Exposure"))]
    pub annotations: BTreeMap<String, String>,
    /// Fixed node ports
    pub node_ports: NodePorts,
    /// Ports of the nodes that run a manager, for type `HostPort`
    pub host_ports: HostPorts,
    /// Class of the load balancer; the cluster's default when absent
    #[schemars(extend("x-flag" = "load-balancer-class", "x-value" = "CLASS", "x-heading" = "Exposure"))]
    pub load_balancer_class: Option<String>,
    /// Network that the load balancer lets in, for example 203.0.113.0/24; may be repeated
    #[schemars(extend("x-flag" = "load-balancer-source-range", "x-value" = "CIDR", "x-heading" = "Exposure"))]
    pub load_balancer_source_ranges: Vec<String>,
    /// Whether the nodes keep the address of the client (`Local`) or spread the traffic (`Cluster`)
    #[schemars(extend("x-flag" = "external-traffic-policy", "x-value" = "POLICY", "x-heading" = "Exposure"))]
    pub external_traffic_policy: Option<TrafficPolicy>,
}

/// Type of the direct Service.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
pub enum ServiceKind {
    /// An external load balancer
    #[default]
    LoadBalancer,
    /// A port on every node
    NodePort,
    /// No Service: ports of the nodes that run a manager
    HostPort,
    /// Inside the cluster only
    #[serde(rename = "ClusterIP")]
    ClusterIp,
}

/// `spec.externalTrafficPolicy` of the direct Service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
pub enum TrafficPolicy {
    /// Any node passes traffic on; the client's address is lost
    Cluster,
    /// Only nodes with a manager take traffic; the client's address is kept
    Local,
}

/// `service.nodePorts`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NodePorts {
    /// Fixed node port for TLS; the cluster chooses one when absent
    #[schemars(range(min = 1, max = 65_535), extend("x-flag" = "node-port-https", "x-value" = "PORT", "x-heading" = "Exposure"))]
    pub https: Option<u16>,
    /// Fixed node port for plain HTTP; without it plain HTTP stays inside the cluster
    #[schemars(range(min = 1, max = 65_535), extend("x-flag" = "node-port-http", "x-value" = "PORT", "x-heading" = "Exposure"))]
    pub http: Option<u16>,
}

/// `service.hostPorts`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HostPorts {
    /// Port of the nodes for TLS, with type HostPort; 443 when absent
    #[schemars(range(min = 1, max = 65_535), extend("x-flag" = "host-port-https", "x-value" = "PORT", "x-heading" = "Exposure"))]
    pub https: Option<u16>,
    /// Port of the nodes for plain HTTP; without it plain HTTP stays inside the cluster
    #[schemars(range(min = 1, max = 65_535), extend("x-flag" = "host-port-http", "x-value" = "PORT", "x-heading" = "Exposure"))]
    pub http: Option<u16>,
}

/// `gateway`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Gateway {
    /// Class of the Gateway to make for exposure by gateway
    #[schemars(extend("x-flag" = "gateway-class", "x-value" = "NAME", "x-heading" = "Exposure"))]
    pub class_name: Option<String>,
    /// Gateway that is there already, to be used instead of one of our own
    #[schemars(extend("x-flag" = "gateway", "x-value" = "NAMESPACE/NAME", "x-heading" = "Exposure"))]
    pub name: Option<String>,
}
