//! The knobs of an installation. Whatever is not here is not configurable.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use silica_api::{
    ports::{self, Port},
    types::{Domain, NamespaceName},
};

use crate::executables::Carried;

/// Everything that an installation's objects depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Domains that the manager answers for; the first is the main one.
    pub domains: Vec<Domain>,
    /// Image references of our own components.
    pub images: Images,
    /// Replicas of the manager (REST API and proxy).
    pub manager_replicas: u32,
    /// Replicas of the controller; one is active, the others stand by.
    pub controller_replicas: u32,
    /// Compute resources of a manager pod.
    pub manager_compute: Compute,
    /// Compute resources of a controller pod.
    pub controller_compute: Compute,
    /// Log level of both roles, 1 (quiet) to 5 (everything).
    pub log_level: u8,
    /// Whether clients need an API key.
    pub authentication: Authentication,
    /// Ingress, when the cluster's ingress controller terminates TLS.
    pub ingress: Option<IngressOptions>,
    /// TLS straight to the manager.
    pub direct: Option<DirectService>,
    /// Gateway API, when a Gateway terminates TLS.
    pub gateway: Option<GatewayOptions>,
    /// Node labels that our own pods ask for.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that our own pods tolerate.
    pub tolerations: Vec<Toleration>,
    /// Secret with registry credentials for our own pods.
    pub image_pull_secret: Option<String>,
    /// Whether voluntary disruptions leave at least one pod of each role.
    pub disruption_budget: bool,
    /// Executables that travel in ConfigMaps, when neither a registry nor access to nodes is
    /// there; [`Options::images`] then name the image that they run on.
    pub carried: Option<Carried>,
    /// Default templates to create.
    pub templates: Option<TemplateOptions>,
}

impl Options {
    /// The defaults for a domain and images.
    pub fn new(domain: Domain, images: Images) -> Self {
        Self {
            domains: vec![domain],
            images,
            manager_replicas: 3,
            controller_replicas: 2,
            manager_compute: Compute::default(),
            controller_compute: Compute::default(),
            log_level: 1,
            authentication: Authentication::Required,
            ingress: None,
            direct: None,
            gateway: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            image_pull_secret: None,
            disruption_budget: true,
            carried: None,
            templates: None,
        }
    }

    /// The ports of the nodes that the manager's pods take, if they take any.
    pub fn host_ports(&self) -> Option<HostPorts> {
        self.direct
            .as_ref()
            .filter(|direct| direct.service_type == ServiceType::HostPort)
            .map(|direct| direct.host_ports)
    }
}

/// Image references, with tag or digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Images {
    /// Image with `/sandbox-manager`.
    pub manager: String,
    /// Image with `/sandbox-runtime`.
    pub runtime: String,
}

/// Compute resources of a container, as Kubernetes quantities.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compute {
    /// `requests.cpu`.
    pub cpu: String,
    /// `requests.memory`.
    pub memory: String,
    /// `limits.cpu`; none by default, because it adds latency to every request.
    pub cpu_limit: Option<String>,
    /// `limits.memory`; none by default, so that a burst of connections cannot
    /// kill the proxy that carries everybody's traffic.
    pub memory_limit: Option<String>,
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            cpu: "50m".into(),
            memory: "64Mi".into(),
            cpu_limit: None,
            memory_limit: None,
        }
    }
}

/// Whether clients need an API key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Authentication {
    /// Every request needs a known key.
    Required,
    /// Any key is accepted; for closed networks only.
    Off,
}

/// The Ingress.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IngressOptions {
    /// `spec.ingressClassName`; the cluster's default class when absent.
    pub class: Option<String>,
    /// Annotations on top of the ones that long-lived streams need; they win.
    pub annotations: BTreeMap<String, String>,
}

/// The way in by Gateway API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GatewayOptions {
    /// A Gateway of this class, made for this installation.
    Own {
        /// `spec.gatewayClassName`.
        class: String,
    },
    /// A Gateway that somebody else keeps; its listeners have to admit routes of
    /// our namespace.
    Shared {
        /// Its namespace.
        namespace: NamespaceName,
        /// Its name.
        name: String,
    },
}

/// How the manager is reached when it terminates TLS itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DirectService {
    /// Type of the Service.
    pub service_type: ServiceType,
    /// Fixed node ports, for the types that have node ports.
    pub node_ports: NodePorts,
    /// Ports of the nodes, for [`ServiceType::HostPort`].
    pub host_ports: HostPorts,
    /// Annotations for the cloud's load balancer.
    pub annotations: BTreeMap<String, String>,
    /// What the load balancer is asked for.
    pub load_balancer: LoadBalancer,
}

/// Fields of a Service that its load balancer obeys.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LoadBalancer {
    /// `spec.loadBalancerClass`; the cluster's default when absent.
    pub class: Option<String>,
    /// `spec.loadBalancerSourceRanges`: networks that are let in; all when empty.
    pub source_ranges: Vec<String>,
    /// `spec.externalTrafficPolicy`, for node ports too.
    pub traffic_policy: Option<TrafficPolicy>,
}

/// `spec.externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrafficPolicy {
    /// Any node passes traffic on; the client's address is lost.
    Cluster,
    /// Only nodes with a manager take traffic; the client's address is kept.
    Local,
}

impl TrafficPolicy {
    /// The value of the field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

/// Type of the direct Service.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ServiceType {
    /// An external load balancer.
    #[default]
    LoadBalancer,
    /// A port on every node.
    NodePort,
    /// No Service: ports of those nodes that a manager pod runs on.
    HostPort,
    /// Inside the cluster only.
    ClusterIp,
}

impl ServiceType {
    /// The value of `spec.type`; `HostPort` stands in no Service.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
            Self::HostPort => "HostPort",
            Self::ClusterIp => "ClusterIP",
        }
    }
}

/// Fixed node ports.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NodePorts {
    /// For TLS; chosen by the cluster when absent.
    pub https: Option<u16>,
    /// For plain HTTP; plain HTTP is not exposed at all when absent.
    pub http: Option<u16>,
}

/// Ports of the nodes that lead to the manager pod of that node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HostPorts {
    /// For TLS.
    pub https: u16,
    /// For plain HTTP; plain HTTP is not exposed at all when absent.
    pub http: Option<u16>,
}

impl Default for HostPorts {
    /// TLS where clients look for it.
    fn default() -> Self {
        Self {
            https: ports::SERVICE_HTTPS.number,
            http: None,
        }
    }
}

/// The default templates.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateOptions {
    /// Namespace of the pools.
    pub namespace: NamespaceName,
    /// Warm sandboxes per pool.
    pub replicas: u32,
    /// Image of template `base`.
    pub base_image: String,
    /// Image of template `code-interpreter`, when there is one.
    pub code_interpreter_image: Option<String>,
    /// Port whose `/health` tells that the interpreter is ready.
    pub interpreter: Port,
}
