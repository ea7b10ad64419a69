//! Every parameter of an installation, defined once.
//!
//! A field is a key of the settings file. Its documentation, type, range and
//! default become the JSON schema, and from that schema come the flags, their
//! help, the environment variables and the reference in `docs/settings.md`: see
//! [`super::parameter`]. To add a parameter, add a field and use it in
//! [`super::Settings`].
//!
//! Attributes that the schema carries beside the usual ones:
//!
//! | Attribute | Meaning |
//! |---|---|
//! | `x-flag` | the flag, without dashes; the variable is `SILICA_` and the flag in capitals |
//! | `x-short` | one letter for the same flag |
//! | `x-env` | the variable, where there is no flag |
//! | `x-value` | what the value is called in `--help` |
//! | `x-heading` | section of `--help` |
//! | `x-secret` | never printed, never kept in the cluster |

use std::{borrow::Cow, collections::BTreeMap, fmt};

use clap::ValueEnum;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::env;

/// All parameters with their values.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "Settings of silica install")]
pub struct Values {
    /// The REST API and proxy that clients talk to
    pub sandbox_manager: SandboxManager,
    /// What clients of the E2B SDKs see
    pub e2b: E2b,
    /// The controller of the custom resources
    pub controller: Controller,
    /// The manager's pods, which carry everybody's traffic
    pub proxy: Proxy,
    /// The server certificate
    pub certificate: Certificate,
    /// How clients outside the cluster get in
    #[schemars(extend("x-flag" = "expose", "x-value" = "WAY", "x-heading" = "Exposure"))]
    pub expose: Vec<Exposure>,
    /// The Ingress, for exposure by `ingress`
    pub ingress: Ingress,
    /// The Service of its own, for exposure by `direct`
    pub service: Service,
    /// The Gateway, for exposure by `gateway`
    pub gateway: Gateway,
    /// Address or host name that clients reach the installation by, when it is not the one that the cluster reports, as with something in front of node ports; may be repeated
    #[schemars(extend("x-flag" = "address", "x-value" = "ADDRESS", "x-heading" = "Exposure"))]
    pub addresses: Vec<String>,
    /// Label of the nodes for our own pods; may be repeated
    #[schemars(extend("x-flag" = "node-selector", "x-heading" = "Pods"))]
    pub node_selector: BTreeMap<String, String>,
    /// Taint that our own pods tolerate, as `KEY=VALUE:EFFECT`, `KEY:EFFECT`, `KEY` or `*`; may be repeated
    #[schemars(extend("x-flag" = "toleration", "x-value" = "TAINT", "x-heading" = "Pods"))]
    pub tolerations: Vec<String>,
    /// The images of our own pods
    pub images: Images,
    /// Default templates
    pub templates: Templates,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            sandbox_manager: SandboxManager::default(),
            e2b: E2b::default(),
            controller: Controller::default(),
            proxy: Proxy::default(),
            certificate: Certificate::default(),
            expose: vec![Exposure::Ingress],
            ingress: Ingress::default(),
            service: Service::default(),
            gateway: Gateway::default(),
            addresses: Vec::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            images: Images::default(),
            templates: Templates::default(),
        }
    }
}

/// `sandboxManager`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SandboxManager {
    /// Replicas of the manager (REST API and proxy)
    #[schemars(range(min = 1, max = 100), extend("x-flag" = "manager-replicas", "x-heading" = "Pods"))]
    pub replica_count: u32,
}

impl Default for SandboxManager {
    fn default() -> Self {
        Self { replica_count: 3 }
    }
}

/// `e2b`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct E2b {
    /// Domain that clients use as E2B_DOMAIN, without `*.`; may be repeated
    #[schemars(extend("type" = ["array", "string"], "x-flag" = "domain", "x-short" = "d", "x-value" = "DOMAIN", "x-heading" = "Access"))]
    pub domain: Vec<String>,
    /// Whether clients need an API key
    #[schemars(extend("x-flag" = "auth", "x-heading" = "Access"))]
    pub enable_auth: bool,
    /// API key of the administrator; generated when absent
    #[schemars(extend("x-env" = "SILICA_ADMIN_KEY", "x-heading" = "Access", "x-secret" = true))]
    pub admin_api_key: Option<SecretText>,
}

impl Default for E2b {
    fn default() -> Self {
        Self {
            domain: Vec::new(),
            enable_auth: true,
            admin_api_key: None,
        }
    }
}

/// `controller`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Controller {
    /// Replicas of the controller; one is active, the others stand by
    #[schemars(range(min = 1, max = 10), extend("x-flag" = "controller-replicas", "x-heading" = "Pods"))]
    pub replica_count: u32,
    /// Log level of controller and manager
    #[schemars(range(min = 1, max = 5), extend("x-flag" = "log-level", "x-value" = "LEVEL", "x-heading" = "Pods"))]
    pub log_level: u8,
    /// Compute resources of a controller pod
    pub resources: controller::Resources,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            replica_count: 2,
            log_level: 1,
            resources: controller::Resources::default(),
        }
    }
}

/// `proxy`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Proxy {
    /// Compute resources of a manager pod
    pub resources: proxy::Resources,
}

/// Compute resources of one component: the keys are the same, the flags are not.
macro_rules! resources {
    ($component:ident, $flag:literal, $pod:literal) => {
        /// Compute resources, as Kubernetes quantities.
        pub mod $component {
            use schemars::JsonSchema;
            use serde::Deserialize;

            use super::Quantity;

            /// `resources`.
            #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
            #[serde(default, deny_unknown_fields)]
            #[schemars(inline)]
            pub struct Resources {
                /// What the scheduler sets aside
                pub requests: Requests,
                /// What the pod may not exceed
                pub limits: Limits,
            }

            /// `requests`.
            #[derive(Clone, Debug, Deserialize, JsonSchema)]
            #[serde(default, deny_unknown_fields)]
            #[schemars(inline)]
            pub struct Requests {
                #[doc = concat!("CPU request of a ", $pod, " pod")]
                #[schemars(extend("x-flag" = concat!($flag, "-cpu"), "x-heading" = "Pods"))]
                pub cpu: Quantity,
                #[doc = concat!("Memory request of a ", $pod, " pod")]
                #[schemars(extend("x-flag" = concat!($flag, "-memory"), "x-heading" = "Pods"))]
                pub memory: Quantity,
            }

            impl Default for Requests {
                fn default() -> Self {
                    Self {
                        cpu: Quantity("50m".into()),
                        memory: Quantity("64Mi".into()),
                    }
                }
            }

            /// `limits`.
            #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
            #[serde(default, deny_unknown_fields)]
            #[schemars(inline)]
            pub struct Limits {
                #[doc = concat!("CPU limit of a ", $pod, " pod; a limit adds latency under load")]
                #[schemars(extend("x-flag" = concat!($flag, "-cpu-limit"), "x-heading" = "Pods"))]
                pub cpu: Option<Quantity>,
                #[doc = concat!("Memory limit of a ", $pod, " pod; above it the pod is killed")]
                #[schemars(extend("x-flag" = concat!($flag, "-memory-limit"), "x-heading" = "Pods"))]
                pub memory: Option<Quantity>,
            }
        }
    };
}

resources!(controller, "controller", "controller");
resources!(proxy, "proxy", "manager");

/// `certificate`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Certificate {
    /// Key of the server certificate: p256, p384, rsa2048, rsa3072 or rsa4096; that of the present one, or p256, when absent
    #[schemars(extend("x-flag" = "key-type", "x-value" = "TYPE", "x-heading" = "Access"))]
    pub key_type: Option<String>,
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

/// `images`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Images {
    /// How our executables get to the nodes
    #[schemars(extend("x-flag" = "images", "x-value" = "WAY", "x-heading" = "Images"))]
    pub delivery: ImageDelivery,
    /// Registry to push to and to pull from
    #[schemars(extend("x-flag" = "registry", "x-env" = env::REGISTRY, "x-value" = "HOST[:PORT]/PREFIX", "x-heading" = "Images"))]
    pub registry: Option<String>,
    /// Speak plain HTTP to the registry
    #[schemars(extend("x-flag" = "registry-plain-http", "x-heading" = "Images"))]
    pub registry_plain_http: bool,
    /// CA certificate of the registry (PEM)
    #[schemars(extend("x-flag" = "registry-ca", "x-value" = "FILE", "x-heading" = "Images"))]
    pub registry_ca: Option<String>,
    /// Make the pull Secret, silica-registry or the one of --image-pull-secret, of the credentials that push
    #[schemars(extend("x-flag" = "create-pull-secret", "x-heading" = "Images"))]
    pub create_pull_secret: bool,
    /// Image to run on with `--images configmap`, instead of one that every node has
    #[schemars(extend("x-flag" = "borrow-image", "x-value" = "IMAGE", "x-heading" = "Images"))]
    pub borrow: Option<String>,
    /// Image with the manager and controller, instead of the one that silica carries
    #[schemars(extend("x-flag" = "manager-image", "x-value" = "IMAGE", "x-heading" = "Images"))]
    pub manager: Option<String>,
    /// Image with the runtime, instead of the one that silica carries
    #[schemars(extend("x-flag" = "runtime-image", "x-value" = "IMAGE", "x-heading" = "Images"))]
    pub runtime: Option<String>,
    /// Secret with registry credentials, in the namespace sandbox-system
    #[schemars(extend("x-flag" = "image-pull-secret", "x-value" = "NAME", "x-heading" = "Images"))]
    pub pull_secret: Option<String>,
}

/// `templates`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Templates {
    /// Create the default templates
    #[schemars(extend("x-flag" = "templates", "x-heading" = "Templates"))]
    pub enabled: bool,
    /// Warm sandboxes per template
    #[schemars(range(min = 0, max = 10_000), extend("x-flag" = "template-replicas", "x-heading" = "Templates"))]
    pub replicas: u32,
    /// Namespace of the templates
    #[schemars(extend("x-flag" = "template-namespace", "x-value" = "NAME", "x-heading" = "Templates"))]
    pub namespace: String,
    /// Images of the templates
    pub images: TemplateImages,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            enabled: false,
            replicas: 2,
            namespace: "default".into(),
            images: TemplateImages::default(),
        }
    }
}

/// `templates.images`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TemplateImages {
    /// Image of template `base`; required for templates
    #[schemars(extend("x-flag" = "template-image-base", "x-value" = "IMAGE", "x-heading" = "Templates"))]
    pub base: Option<String>,
    /// Image of template `code-interpreter`, which is left out without one
    #[schemars(extend("x-flag" = "template-image-code-interpreter", "x-value" = "IMAGE", "x-heading" = "Templates"))]
    pub code_interpreter: Option<String>,
}

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

/// How our images get to the nodes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ImageDelivery {
    /// `registry` when one is named, else `node` when the nodes are here or of kind or k3d, else `configmap`
    #[default]
    Auto,
    /// Push to the registry of --registry
    Registry,
    /// Import into the containerd of this machine, or by kind or k3d
    Node,
    /// Put the executables into ConfigMaps: needs neither registry nor access to nodes
    #[value(name = "configmap")]
    ConfigMap,
    /// The nodes pull them by themselves
    None,
}

/// A text that is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl JsonSchema for SecretText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A Kubernetes quantity such as `500m` or `2Gi`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quantity(pub String);

/// What the API server accepts, without the exponents that nobody writes.
pub const QUANTITY_PATTERN: &str = "^[0-9]+(\\.[0-9]+)?(n|u|m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number"], "format": "quantity", "pattern": QUANTITY_PATTERN})
    }
}
