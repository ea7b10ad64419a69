//! Flags, variables, file and what an earlier run kept become one validated value.
//!
//! [`values`] defines every parameter once; [`parameter`] derives flags, variables
//! and schema from it. Each source becomes a [`layer`], [`resolve`] lays them over
//! one another: default < cluster < file < variable < flag.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::Toleration;
use serde_json::Value;
use silica_api::{
    ports,
    types::{self, Domain},
};
use silica_certs::key::{KeyType, UnknownKeyType};
use silica_core::api_key::{self, ApiKey};
use silica_manifests::{
    Authentication, Compute, DirectService, GatewayOptions, HostPorts, Images, IngressOptions, LoadBalancer,
    NodePorts, Options, ServiceType, TemplateOptions, TrafficPolicy,
};
use silica_registry::{AddressError, Transport};

use crate::{address, commands::install::InstallArgs, delivery::RegistrySettings, env};

mod conflicts;
mod flags;
mod kind;
pub mod layer;
pub mod parameter;
pub mod resolve;
pub mod values;

pub use self::{
    flags::Flags,
    layer::{Layer, Origin},
    resolve::{Resolved, ValueChange},
    values::{Exposure, ImageDelivery, Values},
};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("failed to read {what} {}", path.display())]
    ReadFile {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The settings file is not what it should be.
    #[error("failed to understand the settings file {}: {why}", path.display())]
    ParseFile { path: PathBuf, why: String },
    /// A key that no parameter has.
    #[error("{origin}: there is no parameter {key}{}", nearest.map(|key| format!("; did you mean {key}?")).unwrap_or_default())]
    UnknownKey {
        origin: Origin,
        key: String,
        nearest: Option<&'static str>,
    },
    /// A value of the wrong type or out of its range.
    #[error("{origin}: {key} must be {expected}, not {found}")]
    Value {
        origin: Origin,
        key: String,
        expected: String,
        found: String,
    },
    /// A value makes sense only together with another.
    #[error("{origin}: {key} needs {needs}, but that is {is} ({because})")]
    Conflict {
        origin: Origin,
        key: &'static str,
        needs: &'static str,
        is: String,
        because: Origin,
    },
    /// Without a cluster nobody can look for an image that its nodes have.
    #[error("--images configmap without a cluster to look at needs --borrow-image IMAGE")]
    NoBorrowedImage,
    /// The values do not fit their types.
    #[error("failed to read the values")]
    Typed(#[source] serde_json::Error),
    /// No domain anywhere.
    #[error("no domain is given")]
    NoDomain,
    /// A name is not valid.
    #[error("{origin}: failed to accept the {what}")]
    Name {
        what: &'static str,
        origin: Origin,
        source: types::Error,
    },
    /// A domain with letters that no domain may have.
    #[error("{origin}: failed to write domain {domain:?} in the letters of DNS")]
    Letters { origin: Origin, domain: String },
    /// A key that the server certificate cannot have.
    #[error("{origin}: failed to accept the key type")]
    KeyType { origin: Origin, source: UnknownKeyType },
    /// The registry's address is not one.
    #[error("{origin}: failed to accept the registry")]
    Registry { origin: Origin, source: AddressError },
    /// Neither an address nor a host name.
    #[error("{origin}: failed to accept the address of the installation")]
    Address {
        origin: Origin,
        source: address::NotAnAddress,
    },
    /// Nothing says which Gateway.
    #[error(
        "{origin}: exposure by gateway needs either gateway.className (--gateway-class NAME) or gateway.name (--gateway NAMESPACE/NAME)"
    )]
    Gateway { origin: Origin },
    /// The administrator's key is not usable.
    #[error("failed to accept the administrator's API key")]
    AdminKey(#[from] api_key::Error),
}

/// A value as people write it.
pub fn show(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(show).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{key}={}", show(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// What this run says: file, variables and flags, each value checked on its own.
pub struct Said {
    layers: [Layer; 3],
}

impl Said {
    /// Reads the files that the flags name, and the environment.
    pub fn read(args: &InstallArgs) -> Result<Self, Error> {
        let file = match &args.values {
            Some(path) => layer::of_file(path, &read_text("the settings file", path)?)?,
            None => Layer::new(),
        };
        let variables = layer::of_environment(|name| std::env::var(name).ok())?;
        let mut flags = layer::of_flags(args.flags.texts())?;
        if let Some(path) = &args.admin_key_file {
            let given = layer::Given {
                value: read_text("the API key file", path)?.trim().into(),
                origin: Origin::Flag("admin-key-file".into()),
            };
            flags.insert("e2b.adminApiKey", given);
        }
        Ok(Self {
            layers: [file, variables, flags],
        })
    }

    /// With what an earlier run kept below it.
    pub fn over(&self, kept: Layer) -> Resolved {
        Resolved::of(std::iter::once(kept).chain(self.layers.iter().cloned()))
    }
}

/// What the user wants.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The knobs of the objects. The image references are those of the bundle
    /// or chosen ones, see [`Settings::images`].
    pub options: Options,
    /// Chosen image references, instead of the bundle's.
    pub images: ChosenImages,
    /// How our images get to the nodes.
    pub delivery: ImageDelivery,
    /// Socket of containerd, when it is not a usual one.
    pub containerd_address: Option<PathBuf>,
    /// The registry to push to.
    pub registry: Option<RegistrySettings>,
    /// Image that executables in ConfigMaps run on, when it was chosen.
    pub borrow_image: Option<String>,
    /// Kind of the server certificate's key, when it was chosen.
    pub key_type: Option<KeyType>,
    /// Addresses and host names that clients reach the installation by, when
    /// they are not those that the cluster reports.
    pub addresses: Vec<String>,
    /// The administrator's key, when it was chosen; else it is generated.
    pub admin_key: Option<ApiKey>,
    /// Take over what another product or hand left behind.
    pub adopt: bool,
    /// Overwrite fields that another manager changed.
    pub force_conflicts: bool,
    /// Do not run a sandbox at the end.
    pub skip_verify: bool,
    /// Leave a version that does not become ready.
    pub no_rollback: bool,
    /// Every parameter with its value and where that comes from.
    pub resolved: Resolved,
}

/// Image references that replace the bundle's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChosenImages {
    /// Manager and controller.
    pub manager: Option<String>,
    /// Runtime.
    pub runtime: Option<String>,
}

impl Settings {
    /// The settings of this run alone, without a cluster; `domain` stands in
    /// where none is given.
    pub fn read(args: &InstallArgs, domain: Option<&str>) -> Result<Self, Error> {
        let stand_in = domain.map(|domain| {
            let given = layer::Given {
                value: vec![domain].into(),
                origin: Origin::Default,
            };
            ("e2b.domain", given)
        });
        Self::of(args, Said::read(args)?.over(stand_in.into_iter().collect()))
    }

    /// Checks the values together. Pure.
    pub fn of(args: &InstallArgs, resolved: Resolved) -> Result<Self, Error> {
        let values = resolved.values()?;
        conflicts::check(&resolved, &values)?;
        let admin_key = values.e2b.admin_api_key.as_ref();
        let admin_key = admin_key
            .map(|key| ApiKey::new(key.reveal().trim()))
            .transpose()?;
        let mut options = options(&values, &resolved)?;
        let registry = registry(&values.images, &resolved)?;
        if let Some(name) = registry
            .as_ref()
            .and_then(|registry| registry.make_pull_secret.as_ref())
        {
            options.image_pull_secret = Some(name.clone());
        }
        for text in &values.addresses {
            address::parse(text).map_err(|source| Error::Address {
                origin: resolved.origin("addresses").clone(),
                source,
            })?;
        }
        let key_type = key_type(&values, &resolved)?;
        Ok(Self {
            options,
            images: ChosenImages {
                manager: values.images.manager,
                runtime: values.images.runtime,
            },
            delivery: values.images.delivery,
            containerd_address: args.containerd_address.clone(),
            registry,
            borrow_image: values.images.borrow,
            key_type,
            addresses: values.addresses,
            admin_key,
            adopt: args.adopt,
            force_conflicts: args.force_conflicts,
            skip_verify: args.skip_verify,
            no_rollback: args.no_rollback,
            resolved,
        })
    }
}

fn options(values: &Values, resolved: &Resolved) -> Result<Options, Error> {
    let domains = domains(values, resolved)?;
    let first = domains.first().cloned().ok_or(Error::NoDomain)?;
    let no_images = Images {
        manager: String::new(),
        runtime: String::new(),
    };
    let mut options = Options::new(first, no_images);
    options.domains = domains;
    options.manager_replicas = values.sandbox_manager.replica_count;
    options.controller_replicas = values.controller.replica_count;
    options.log_level = values.controller.log_level;
    let (requests, limits) = (
        &values.controller.resources.requests,
        &values.controller.resources.limits,
    );
    options.controller_compute = Compute {
        cpu: requests.cpu.0.clone(),
        memory: requests.memory.0.clone(),
        cpu_limit: limits.cpu.clone().map(|limit| limit.0),
        memory_limit: limits.memory.clone().map(|limit| limit.0),
    };
    let (requests, limits) = (&values.proxy.resources.requests, &values.proxy.resources.limits);
    options.manager_compute = Compute {
        cpu: requests.cpu.0.clone(),
        memory: requests.memory.0.clone(),
        cpu_limit: limits.cpu.clone().map(|limit| limit.0),
        memory_limit: limits.memory.clone().map(|limit| limit.0),
    };
    if !values.e2b.enable_auth {
        options.authentication = Authentication::Off;
    }
    options.node_selector.clone_from(&values.node_selector);
    options.tolerations = values
        .tolerations
        .iter()
        .map(|text| toleration(text).ok_or_else(|| bad_toleration(text, resolved)))
        .collect::<Result<_, _>>()?;
    options.image_pull_secret.clone_from(&values.images.pull_secret);
    if values.expose.contains(&Exposure::Ingress) {
        options.ingress = Some(IngressOptions {
            class: values.ingress.class_name.clone(),
            annotations: values.ingress.annotations.clone(),
        });
    }
    if values.expose.contains(&Exposure::Direct) {
        options.direct = Some(direct(&values.service));
    }
    if values.expose.contains(&Exposure::Gateway) {
        options.gateway = Some(gateway(&values.gateway, resolved)?);
    }
    if values.templates.enabled {
        options.templates = Some(templates(&values.templates, resolved)?);
    }
    Ok(options)
}

fn key_type(values: &Values, resolved: &Resolved) -> Result<Option<KeyType>, Error> {
    let parsed = values.certificate.key_type.as_deref().map(str::parse).transpose();
    parsed.map_err(|source| Error::KeyType {
        origin: resolved.origin("certificate.keyType").clone(),
        source,
    })
}

fn domains(values: &Values, resolved: &Resolved) -> Result<Vec<Domain>, Error> {
    let origin = || resolved.origin("e2b.domain").clone();
    let mut domains = Vec::new();
    for text in &values.e2b.domain {
        let ascii = if text.is_ascii() {
            text.clone()
        } else {
            idna::domain_to_ascii_strict(text).map_err(|_| Error::Letters {
                origin: origin(),
                domain: text.clone(),
            })?
        };
        let domain = ascii.parse().map_err(|source| Error::Name {
            what: "domain",
            origin: origin(),
            source,
        })?;
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    Ok(domains)
}

fn direct(service: &values::Service) -> DirectService {
    DirectService {
        service_type: match service.kind {
            values::ServiceKind::LoadBalancer => ServiceType::LoadBalancer,
            values::ServiceKind::NodePort => ServiceType::NodePort,
            values::ServiceKind::HostPort => ServiceType::HostPort,
            values::ServiceKind::ClusterIp => ServiceType::ClusterIp,
        },
        host_ports: HostPorts {
            https: service.host_ports.https.unwrap_or(HostPorts::default().https),
            http: service.host_ports.http,
        },
        node_ports: NodePorts {
            https: service.node_ports.https,
            http: service.node_ports.http,
        },
        annotations: service.annotations.clone(),
        load_balancer: LoadBalancer {
            class: service.load_balancer_class.clone(),
            source_ranges: service.load_balancer_source_ranges.clone(),
            traffic_policy: service.external_traffic_policy.map(|policy| match policy {
                values::TrafficPolicy::Cluster => TrafficPolicy::Cluster,
                values::TrafficPolicy::Local => TrafficPolicy::Local,
            }),
        },
    }
}

fn gateway(gateway: &values::Gateway, resolved: &Resolved) -> Result<GatewayOptions, Error> {
    let needs = || Error::Gateway {
        origin: resolved.origin("expose").clone(),
    };
    if let Some(full) = &gateway.name {
        let (namespace, name) = full.split_once('/').ok_or_else(needs)?;
        let namespace = namespace.parse().map_err(|source| Error::Name {
            what: "namespace of the Gateway",
            origin: resolved.origin("gateway.name").clone(),
            source,
        })?;
        return Ok(GatewayOptions::Shared {
            namespace,
            name: name.to_owned(),
        });
    }
    let class = gateway.class_name.clone().ok_or_else(needs)?;
    Ok(GatewayOptions::Own { class })
}

/// Name of the pull Secret that is made when none is named.
const PULL_SECRET: &str = "silica-registry";

fn registry(images: &values::Images, resolved: &Resolved) -> Result<Option<RegistrySettings>, Error> {
    let Some(address) = &images.registry else {
        return Ok(None);
    };
    let name = || images.pull_secret.clone().unwrap_or(PULL_SECRET.into());
    Ok(Some(RegistrySettings {
        address: address.parse().map_err(|source| Error::Registry {
            origin: resolved.origin("images.registry").clone(),
            source,
        })?,
        transport: Transport {
            plain_http: images.registry_plain_http,
            ca: images.registry_ca.clone().map(PathBuf::from),
        },
        make_pull_secret: images.create_pull_secret.then(name),
    }))
}

fn templates(templates: &values::Templates, resolved: &Resolved) -> Result<TemplateOptions, Error> {
    let namespace = templates.namespace.parse();
    Ok(TemplateOptions {
        namespace: namespace.map_err(|source| Error::Name {
            what: "template namespace",
            origin: resolved.origin("templates.namespace").clone(),
            source,
        })?,
        replicas: templates.replicas,
        // Checked by the conflicts: templates need this image.
        base_image: templates.images.base.clone().unwrap_or_default(),
        code_interpreter_image: templates.images.code_interpreter.clone(),
        interpreter: ports::INTERPRETER,
    })
}

/// Reads `KEY=VALUE:EFFECT`, `KEY:EFFECT`, `KEY` or `*`, as `kubectl taint` writes it.
fn toleration(text: &str) -> Option<Toleration> {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let (taint, effect) = match text.rsplit_once(':') {
        Some((taint, effect)) if EFFECTS.contains(&effect) => (taint, Some(effect.to_owned())),
        Some(_) => return None,
        None => (text, None),
    };
    let (key, value) = match taint.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (taint, None),
    };
    let is_key = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    let key = match key {
        "*" if value.is_none() => None,
        key if !key.is_empty() && key.chars().all(is_key) => Some(key.to_owned()),
        _ => return None,
    };
    Some(Toleration {
        key,
        operator: Some(if value.is_some() { "Equal" } else { "Exists" }.into()),
        value,
        effect,
        ..Toleration::default()
    })
}

fn bad_toleration(text: &str, resolved: &Resolved) -> Error {
    Error::Value {
        origin: resolved.origin("tolerations").clone(),
        key: "tolerations".into(),
        expected: "taints such as dedicated=sandbox:NoSchedule, gpu:NoExecute, gpu or *".into(),
        found: text.to_owned(),
    }
}

/// Reads a file; `-` is standard input.
fn read_text(what: &'static str, path: &Path) -> Result<String, Error> {
    let read = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|source| Error::ReadFile {
        what,
        path: path.to_owned(),
        source,
    })
}

/// The variables that parameters are read from, and the file's.
pub fn variables() -> impl Iterator<Item = &'static str> {
    let parameters = parameter::parameters().iter();
    parameters
        .map(|parameter| parameter.env.as_str())
        .chain([env::VALUES])
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        install: InstallArgs,
    }

    fn merge(flags: &[&str], yaml: &str) -> Result<Settings, Error> {
        let line = Line::try_parse_from(std::iter::once(&"silica").chain(flags)).unwrap();
        let layers = [
            layer::of_file(Path::new("v.yaml"), yaml)?,
            layer::of_flags(line.install.flags.texts())?,
        ];
        Settings::of(&line.install, Resolved::of(layers))
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let yaml =
            "e2b: {domain: file.example.com}\nsandboxManager: {replicaCount: 5}\ncontroller: {logLevel: 4}";
        let settings = merge(&["--domain", "flag.example.com", "--log-level", "2"], yaml).unwrap();
        assert_eq!(settings.options.domains[0].as_str(), "flag.example.com");
        assert_eq!(settings.options.log_level, 2);
        assert_eq!(settings.options.manager_replicas, 5);
        assert_eq!(settings.options.controller_replicas, 2);
    }

    #[test]
    fn the_documented_parameters_are_all_understood() {
        let yaml = "
sandboxManager: {replicaCount: 1}
e2b: {domain: 'a.example.com,b.example.com', enableAuth: false, adminApiKey: admin-987654321}
controller: {logLevel: 1, resources: {requests: {cpu: '2', memory: 4Gi}, limits: {cpu: 4}}}
proxy: {resources: {requests: {cpu: 2, memory: 4Gi}, limits: {memory: 8Gi}}}
ingress: {className: alb}
";
        let settings = merge(&[], yaml).unwrap();
        assert_eq!(settings.options.domains.len(), 2);
        assert_eq!(settings.options.authentication, Authentication::Off);
        assert_eq!(settings.admin_key.unwrap().reveal(), "admin-987654321");
        assert_eq!(settings.options.controller_compute.memory, "4Gi");
        assert_eq!(
            settings.options.controller_compute.cpu_limit.as_deref(),
            Some("4")
        );
        assert_eq!(settings.options.manager_compute.cpu, "2");
        assert_eq!(
            settings.options.manager_compute.memory_limit.as_deref(),
            Some("8Gi")
        );
        assert_eq!(settings.options.ingress.unwrap().class.as_deref(), Some("alb"));
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(matches!(merge(&[], ""), Err(Error::NoDomain)));
        assert!(matches!(
            merge(&["--domain", "*.a.b"], ""),
            Err(Error::Name { .. })
        ));
        for (flag, value) in [
            ("--log-level", "9"),
            ("--proxy-cpu", "two"),
            ("--manager-replicas", "0"),
            ("--node-port-https", "70000"),
            ("--toleration", "a:Sometimes"),
        ] {
            assert!(
                matches!(
                    merge(&["--domain", "a.b", flag, value], ""),
                    Err(Error::Value { .. })
                ),
                "{flag} {value}"
            );
        }
    }

    #[test]
    fn the_default_exposure_is_the_ingress() {
        let settings = merge(&["--domain", "a.b"], "").unwrap();
        assert!(settings.options.ingress.is_some() && settings.options.direct.is_none());
        let direct = merge(&["--domain", "a.b", "--expose", "direct"], "").unwrap();
        assert!(direct.options.ingress.is_none() && direct.options.direct.is_some());
    }

    #[test]
    fn a_domain_in_other_letters_becomes_what_dns_knows() {
        let settings = merge(&["--domain", "Bücher.example"], "").unwrap();
        assert_eq!(settings.options.domains[0].as_str(), "xn--bcher-kva.example");
        let twice = merge(&["-d", "bücher.example,xn--bcher-kva.example"], "").unwrap();
        assert_eq!(twice.options.domains.len(), 1);
        assert!(matches!(
            merge(&["--domain", "a\u{fffd}b.example"], ""),
            Err(Error::Letters { .. })
        ));
    }

    #[test]
    fn taints_are_written_as_for_kubectl() {
        let read = |text| toleration(text).map(|one| (one.key, one.operator, one.value, one.effect));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("dedicated=sandbox:NoSchedule"),
            Some((
                some("dedicated"),
                some("Equal"),
                some("sandbox"),
                some("NoSchedule")
            ))
        );
        assert_eq!(
            read("gpu:NoExecute"),
            Some((some("gpu"), some("Exists"), None, some("NoExecute")))
        );
        assert_eq!(read("*"), Some((None, some("Exists"), None, None)));
        for bad in ["", "=a", "a b", "a:b", ":NoSchedule"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_gateway_is_one_of_our_own_or_one_that_is_named() {
        let gateway = |flags: &[&str], yaml: &str| {
            let flags = [&["--domain", "a.b", "--expose", "gateway"], flags].concat();
            merge(&flags, yaml).map(|settings| settings.options.gateway.unwrap())
        };
        let own = GatewayOptions::Own { class: "c".into() };
        let shared = GatewayOptions::Shared {
            namespace: "infra".parse().unwrap(),
            name: "g".into(),
        };
        assert_eq!(gateway(&["--gateway-class", "c"], "").unwrap(), own);
        assert_eq!(gateway(&["--gateway", "infra/g"], "").unwrap(), shared);
        assert_eq!(gateway(&[], "gateway: {className: c}").unwrap(), own);
        for bad in [
            &[][..],
            &["--gateway", "g"],
            &["--gateway", "NO/g"],
            &["--gateway", "infra/g", "--gateway-class", "c"],
        ] {
            assert!(gateway(bad, "").is_err(), "{bad:?}");
        }
        assert!(matches!(
            merge(&["--domain", "a.b", "--gateway-class", "c"], ""),
            Err(Error::Conflict { .. })
        ));
    }

    #[test]
    fn ports_of_the_nodes_need_their_service_type() {
        let direct = ["--domain", "a.b", "--expose", "direct"];
        let host = [&direct[..], &["--service-type", "HostPort"]].concat();
        let ports = |flags: &[&str]| merge(flags, "").unwrap().options.host_ports();
        assert_eq!(ports(&direct), None);
        assert_eq!(ports(&host).map(|ports| ports.https), Some(443));
        let other = [&host[..], &["--host-port-https", "9443"]].concat();
        assert_eq!(ports(&other).map(|ports| ports.https), Some(9443));
        let wrong = [&direct[..], &["--host-port-https", "9443"]].concat();
        assert!(matches!(merge(&wrong, ""), Err(Error::Conflict { .. })));
    }

    #[test]
    fn addresses_of_clients_come_from_flags_or_the_file() {
        let yaml = "{e2b: {domain: a.b}, addresses: [lb.example.com]}";
        assert_eq!(merge(&[], yaml).unwrap().addresses, ["lb.example.com"]);
        let flags = merge(&["--address", "127.0.0.1,2001:db8::1"], yaml).unwrap();
        assert_eq!(flags.addresses, ["127.0.0.1", "2001:db8::1"]);
        assert!(matches!(
            merge(&["--address", "https://a.b"], yaml),
            Err(Error::Address { .. })
        ));
    }

    #[test]
    fn a_registry_is_needed_to_push_to_one() {
        let on = |flags: &[&str]| merge(&[&["--domain", "a.b"], flags].concat(), "");
        assert!(matches!(
            on(&["--images", "registry"]),
            Err(Error::Conflict { .. })
        ));
        assert!(matches!(
            on(&["--create-pull-secret"]),
            Err(Error::Conflict { .. })
        ));
        let settings = on(&["--registry", "r.example/p", "--create-pull-secret"]).unwrap();
        assert_eq!(settings.options.image_pull_secret.as_deref(), Some(PULL_SECRET));
        assert!(on(&["--registry", "not a registry"]).is_err());
    }

    #[test]
    fn settings_never_show_the_key() {
        let settings = merge(&["--domain", "a.b"], "e2b: {adminApiKey: admin-987654321}").unwrap();
        assert!(!format!("{settings:?}").contains("987654321"));
    }
}
