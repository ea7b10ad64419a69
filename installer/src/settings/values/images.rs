//! The images of our own pods.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::env;

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
