//! The settings file: the parameters that a platform console offers, as YAML.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::Error;
use crate::commands::install::Exposure;

/// The whole file. Unknown keys are refused: a misspelt one would be ignored silently.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Values {
    pub sandbox_manager: SandboxManager,
    pub e2b: E2b,
    pub controller: Controller,
    pub proxy: Proxy,
    pub ingress: Ingress,
    pub gateway: Gateway,
    pub images: Images,
    pub expose: Option<Vec<Exposure>>,
    pub addresses: Option<Vec<String>>,
    pub node_selector: BTreeMap<String, String>,
}

impl Values {
    /// Reads the text of a settings file.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        serde_saphyr::from_str(text).map_err(|error| Error::ParseFile {
            path: path.to_owned(),
            why: error.to_string(),
        })
    }
}

/// `sandboxManager`: the REST API and proxy.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SandboxManager {
    pub replica_count: Option<u32>,
}

/// `e2b`: what clients see.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct E2b {
    /// One domain, or several separated by commas.
    pub domain: Option<String>,
    pub enable_auth: Option<bool>,
    pub admin_api_key: Option<String>,
}

impl E2b {
    /// The domains, one by one.
    pub fn domains(&self) -> Vec<String> {
        let domains = self.domain.iter().flat_map(|text| text.split(','));
        domains
            .map(str::trim)
            .filter(|domain| !domain.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// `controller`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Controller {
    pub replica_count: Option<u32>,
    pub log_level: Option<u32>,
    pub resources: Resources,
}

/// `proxy`: resources of the manager pods.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Proxy {
    pub resources: Resources,
}

/// `resources` of a container.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    pub requests: Quantities,
    pub limits: Limits,
}

/// `requests`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quantities {
    pub cpu: Option<String>,
    pub memory: Option<String>,
}

/// `limits`: of memory only, since a CPU limit adds latency to every request.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub memory: Option<String>,
}

/// `ingress`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Ingress {
    pub class_name: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

/// `gateway`: the class of a Gateway to make, or `namespace/name` of one that is there.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Gateway {
    pub class_name: Option<String>,
    pub name: Option<String>,
}

/// `images`, instead of the ones that the CLI carries.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Images {
    pub manager: Option<String>,
    pub runtime: Option<String>,
}
