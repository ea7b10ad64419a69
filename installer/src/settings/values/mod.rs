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

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

mod access;
mod images;
mod pods;
mod templates;
mod text;
mod way_in;

pub use self::{
    access::{Certificate, E2b},
    images::{ImageDelivery, Images},
    pods::{Controller, Proxy, SandboxManager, controller, proxy},
    templates::{TemplateImages, Templates},
    text::{QUANTITY_PATTERN, Quantity, SecretText},
    way_in::{Exposure, Gateway, HostPorts, Ingress, NodePorts, Service, ServiceKind, TrafficPolicy},
};

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
