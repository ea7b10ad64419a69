//! Flags, environment and file become one validated value.
//!
//! A flag wins over its environment variable, that over the file, that over the
//! default.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use silica_api::{ports, types};
use silica_certs::key::KeyType;
use silica_core::api_key::{self, ApiKey};
use silica_manifests::{
    Authentication, Compute, DirectService, GatewayOptions, HostPorts, Images, IngressOptions, NodePorts,
    Options, ServiceType, TemplateOptions,
};

use silica_registry::{AddressError, Transport};

use crate::{
    address,
    commands::install::{Exposure, ImageDelivery, InstallArgs, ServiceTypeArg},
    delivery::RegistrySettings,
};

mod file;

pub use file::Values;

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
    /// No domain anywhere.
    #[error("no domain is given")]
    NoDomain,
    /// A name is not valid.
    #[error("failed to accept the {what}")]
    Name {
        what: &'static str,
        source: types::Error,
    },
    /// The administrator's key is not usable.
    #[error("failed to accept the administrator's API key")]
    AdminKey(#[from] api_key::Error),
    /// A Kubernetes quantity is malformed.
    #[error("{what} {value:?} is not a Kubernetes quantity such as 500m or 2Gi")]
    Quantity { what: &'static str, value: String },
    /// A number is out of its range.
    #[error("{what} must be between {min} and {max}, not {value}")]
    Range {
        what: &'static str,
        min: u32,
        max: u32,
        value: u32,
    },
    /// The registry's address is not one.
    #[error("failed to accept the registry")]
    Registry(#[from] AddressError),
    /// Neither an address nor a host name.
    #[error(transparent)]
    Address(#[from] address::NotAnAddress),
    /// A flag makes sense only together with another.
    #[error("{flag} needs {needs}")]
    Needs { flag: &'static str, needs: &'static str },
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
    /// they are not those that the cluster reports. Kept in the cluster.
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
    /// Reads the files that the flags name and puts everything together.
    pub fn read(args: &InstallArgs) -> Result<Self, Error> {
        let values = match &args.values {
            Some(path) => Values::parse(path, &read_text("the settings file", path)?)?,
            None => Values::default(),
        };
        let key_text = match &args.admin_key_file {
            Some(path) => Some(read_text("the API key file", path)?),
            None => args.admin_key_from_env(),
        };
        Self::merge(args, values, key_text.as_deref())
    }

    /// The pure part: flags over file over defaults.
    pub fn merge(args: &InstallArgs, values: Values, key_text: Option<&str>) -> Result<Self, Error> {
        let admin_key = key_text
            .or(values.e2b.admin_api_key.as_deref())
            .map(str::trim)
            .map(ApiKey::new)
            .transpose()?;
        let mut domains = Vec::new();
        let named = if args.domain.is_empty() {
            values.e2b.domains()
        } else {
            args.domain.clone()
        };
        for text in &named {
            let domain = text.parse().map_err(|source| Error::Name {
                what: "domain",
                source,
            })?;
            if !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        let Some(first) = domains.first().cloned() else {
            return Err(Error::NoDomain);
        };

        let images = ChosenImages {
            manager: args.manager_image.clone().or(values.images.manager),
            runtime: args.runtime_image.clone().or(values.images.runtime),
        };
        let mut options = Options::new(
            first,
            Images {
                manager: String::new(),
                runtime: String::new(),
            },
        );
        options.domains = domains;
        let replicas = |flag: Option<u32>, file: Option<u32>, default| flag.or(file).unwrap_or(default);
        options.manager_replicas = in_range(
            "the number of manager replicas",
            replicas(
                args.manager_replicas,
                values.sandbox_manager.replica_count,
                options.manager_replicas,
            ),
            (1, 100),
        )?;
        options.controller_replicas = in_range(
            "the number of controller replicas",
            replicas(
                args.controller_replicas,
                values.controller.replica_count,
                options.controller_replicas,
            ),
            (1, 10),
        )?;
        options.log_level = u8::try_from(in_range(
            "the log level",
            args.log_level.or(values.controller.log_level).unwrap_or(1),
            (1, 5),
        )?)
        .unwrap_or(1);
        options.controller_compute = compute(
            (&args.controller_cpu, &args.controller_memory),
            values.controller.resources,
        )?;
        options.manager_compute = compute((&args.proxy_cpu, &args.proxy_memory), values.proxy.resources)?;
        if !args.auth.or(values.e2b.enable_auth).unwrap_or(true) {
            options.authentication = Authentication::Off;
        }
        options.node_selector = pairs(&args.node_selector, values.node_selector);
        options.image_pull_secret.clone_from(&args.image_pull_secret);
        let registry = registry(args)?;
        if let Some(name) = registry
            .as_ref()
            .and_then(|registry| registry.make_pull_secret.as_ref())
        {
            options.image_pull_secret = Some(name.clone());
        }

        let expose = if args.expose.is_empty() {
            values.expose.unwrap_or_default()
        } else {
            args.expose.clone()
        };
        let expose = if expose.is_empty() {
            vec![Exposure::Ingress]
        } else {
            expose
        };
        if expose.contains(&Exposure::Ingress) {
            options.ingress = Some(IngressOptions {
                class: args.ingress_class.clone().or(values.ingress.class_name),
                annotations: pairs(&args.ingress_annotation, values.ingress.annotations),
            });
        }
        if expose.contains(&Exposure::Direct) {
            options.direct = Some(DirectService {
                service_type: match args.service_type {
                    None | Some(ServiceTypeArg::LoadBalancer) => ServiceType::LoadBalancer,
                    Some(ServiceTypeArg::NodePort) => ServiceType::NodePort,
                    Some(ServiceTypeArg::HostPort) => ServiceType::HostPort,
                    Some(ServiceTypeArg::ClusterIp) => ServiceType::ClusterIp,
                },
                node_ports: NodePorts {
                    https: args.node_port_https,
                    http: args.node_port_http,
                },
                host_ports: HostPorts {
                    https: args.host_port_https.unwrap_or(HostPorts::default().https),
                    http: args.host_port_http,
                },
                annotations: pairs(&args.service_annotation, BTreeMap::new()),
            });
        } else if args.service_type.is_some()
            || args.node_port_https.is_some()
            || args.node_port_http.is_some()
        {
            return Err(Error::Needs {
                flag: "--service-type or --node-port-*",
                needs: "--expose direct",
            });
        }
        let takes_host_ports = options.host_ports().is_some();
        if !takes_host_ports && (args.host_port_https.is_some() || args.host_port_http.is_some()) {
            return Err(Error::Needs {
                flag: "--host-port-*",
                needs: "--expose direct --service-type HostPort",
            });
        }
        if expose.contains(&Exposure::Gateway) {
            options.gateway = Some(gateway(args, values.gateway)?);
        } else if args.gateway.is_some() || args.gateway_class.is_some() {
            return Err(Error::Needs {
                flag: "--gateway or --gateway-class",
                needs: "--expose gateway",
            });
        }
        options.templates = templates(args)?;
        let addresses = if args.address.is_empty() {
            values.addresses.unwrap_or_default()
        } else {
            args.address.clone()
        };
        for address in &addresses {
            address::parse(address)?;
        }

        Ok(Self {
            options,
            images,
            delivery: args.images,
            containerd_address: args.containerd_address.clone(),
            registry,
            borrow_image: args.borrow_image.clone(),
            key_type: args.key_type,
            addresses,
            admin_key,
            adopt: args.adopt,
            force_conflicts: args.force_conflicts,
            skip_verify: args.skip_verify,
            no_rollback: args.no_rollback,
        })
    }
}

/// A flag replaces what the file says as a whole: the two exclude each other.
fn gateway(args: &InstallArgs, file: file::Gateway) -> Result<GatewayOptions, Error> {
    let (class, name) = if args.gateway.is_some() || args.gateway_class.is_some() {
        (args.gateway_class.clone(), args.gateway.clone())
    } else {
        (file.class_name, file.name)
    };
    let needs = || Error::Needs {
        flag: "--expose gateway",
        needs: "either --gateway-class NAME or --gateway NAMESPACE/NAME",
    };
    match (class, name) {
        (Some(class), None) => Ok(GatewayOptions::Own { class }),
        (None, Some(full)) => {
            let (namespace, name) = full.split_once('/').ok_or_else(needs)?;
            let namespace = namespace.parse().map_err(|source| Error::Name {
                what: "namespace of the Gateway",
                source,
            })?;
            Ok(GatewayOptions::Shared {
                namespace,
                name: name.to_owned(),
            })
        }
        _ => Err(needs()),
    }
}

/// Name of the pull Secret that is made when none is named.
const PULL_SECRET: &str = "silica-registry";

fn registry(args: &InstallArgs) -> Result<Option<RegistrySettings>, Error> {
    let Some(address) = &args.registry else {
        return match args.images {
            ImageDelivery::Registry => Err(Error::Needs {
                flag: "--images registry",
                needs: "--registry HOST[:PORT]/PREFIX",
            }),
            _ => Ok(None),
        };
    };
    let name = || args.image_pull_secret.clone().unwrap_or(PULL_SECRET.into());
    Ok(Some(RegistrySettings {
        address: address.parse()?,
        transport: Transport {
            plain_http: args.registry_plain_http,
            ca: args.registry_ca.clone(),
        },
        make_pull_secret: args.create_pull_secret.then(name),
    }))
}

fn templates(args: &InstallArgs) -> Result<Option<TemplateOptions>, Error> {
    if !args.templates {
        return Ok(None);
    }
    let Some(base_image) = args.template_image_base.clone() else {
        return Err(Error::Needs {
            flag: "--templates",
            needs: "--template-image-base IMAGE",
        });
    };
    let namespace = args.template_namespace.parse();
    Ok(Some(TemplateOptions {
        namespace: namespace.map_err(|source| Error::Name {
            what: "template namespace",
            source,
        })?,
        replicas: in_range(
            "the number of template replicas",
            args.template_replicas,
            (0, 10_000),
        )?,
        base_image,
        code_interpreter_image: args.template_image_code_interpreter.clone(),
        interpreter: ports::INTERPRETER,
    }))
}

fn read_text(what: &'static str, path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::ReadFile {
        what,
        path: path.to_owned(),
        source,
    })
}

fn in_range(what: &'static str, value: u32, (min, max): (u32, u32)) -> Result<u32, Error> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(Error::Range {
            what,
            min,
            max,
            value,
        })
    }
}

fn pairs(flags: &[(String, String)], mut file: BTreeMap<String, String>) -> BTreeMap<String, String> {
    file.extend(flags.iter().cloned());
    file
}

fn compute(
    (cpu, memory): (&Option<String>, &Option<String>),
    file: file::Resources,
) -> Result<Compute, Error> {
    let default = Compute::default();
    Ok(Compute {
        cpu: quantity(
            "the CPU request",
            cpu.clone().or(file.requests.cpu).unwrap_or(default.cpu),
        )?,
        memory: quantity(
            "the memory request",
            memory.clone().or(file.requests.memory).unwrap_or(default.memory),
        )?,
        memory_limit: file
            .limits
            .memory
            .map(|limit| quantity("the memory limit", limit))
            .transpose()?,
    })
}

/// Accepts what the API server accepts: digits, at most one dot, a known suffix.
fn quantity(what: &'static str, value: String) -> Result<String, Error> {
    const SUFFIXES: [&str; 14] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi",
    ];
    let end = value
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(value.len());
    let (number, suffix) = value.split_at(end);
    let is_number =
        number.parse::<f64>().is_ok_and(f64::is_finite) && number.starts_with(|c: char| c.is_ascii_digit());
    if is_number && SUFFIXES.contains(&suffix) {
        Ok(value)
    } else {
        Err(Error::Quantity { what, value })
    }
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
        let values = if yaml.is_empty() {
            Values::default()
        } else {
            Values::parse(Path::new("v.yaml"), yaml).unwrap()
        };
        Settings::merge(&line.install, values, None)
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
controller: {logLevel: 1, resources: {requests: {cpu: '2', memory: 4Gi}}}
proxy: {resources: {requests: {cpu: '2', memory: 4Gi}}}
ingress: {className: alb}
";
        let settings = merge(&[], yaml).unwrap();
        assert_eq!(settings.options.domains.len(), 2);
        assert_eq!(settings.options.authentication, Authentication::Off);
        assert_eq!(settings.admin_key.unwrap().reveal(), "admin-987654321");
        assert_eq!(settings.options.controller_compute.memory, "4Gi");
        assert_eq!(settings.options.manager_compute.cpu, "2");
        assert_eq!(settings.options.ingress.unwrap().class.as_deref(), Some("alb"));
    }

    #[test]
    fn a_misspelt_parameter_is_refused_by_name() {
        let error = Values::parse(Path::new("v.yaml"), "e2b: {domian: a.example.com}")
            .err()
            .unwrap();
        assert!(error.to_string().contains("domian"), "{error}");
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(matches!(merge(&[], ""), Err(Error::NoDomain)));
        assert!(matches!(
            merge(&["--domain", "*.a.b"], ""),
            Err(Error::Name { .. })
        ));
        assert!(matches!(
            merge(&["--domain", "a.b", "--log-level", "9"], ""),
            Err(Error::Range { .. })
        ));
        assert!(matches!(
            merge(&["--domain", "a.b", "--proxy-cpu", "two"], ""),
            Err(Error::Quantity { .. })
        ));
        assert!(matches!(
            merge(&["--domain", "a.b", "--manager-replicas", "0"], ""),
            Err(Error::Range { .. })
        ));
        assert!(matches!(
            merge(&["--domain", "a.b", "--templates"], ""),
            Err(Error::Needs { .. })
        ));
        assert!(matches!(
            merge(&["--domain", "a.b", "--service-type", "NodePort"], ""),
            Err(Error::Needs { .. })
        ));
        assert!(matches!(
            merge(&["--domain", "a.b", "--address", "https://a.b"], ""),
            Err(Error::Address(_))
        ));
    }

    #[test]
    fn the_default_exposure_is_the_ingress() {
        let settings = merge(&["--domain", "a.b"], "").unwrap();
        assert!(settings.options.ingress.is_some() && settings.options.direct.is_none());
        let direct = merge(&["--domain", "a.b", "--expose", "direct"], "").unwrap();
        assert!(direct.options.ingress.is_none() && direct.options.direct.is_some());
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
        assert_eq!(
            gateway(&["--gateway", "infra/g"], "gateway: {className: c}").unwrap(),
            shared
        );
        for bad in [&[][..], &["--gateway", "g"], &["--gateway", "NO/g"]] {
            assert!(gateway(bad, "").is_err(), "{bad:?}");
        }
        assert!(matches!(
            merge(&["--domain", "a.b", "--gateway-class", "c"], ""),
            Err(Error::Needs { .. })
        ));
    }

    #[test]
    fn ports_of_the_nodes_need_their_service_type() {
        let direct = ["--domain", "a.b", "--expose", "direct"];
        let host = [&direct[..], &["--service-type", "HostPort"]].concat();
        let ports = |flags: &[&str]| merge(flags, "").unwrap().options.host_ports();
        assert_eq!(ports(&direct), None);
        assert_eq!(
            ports(&host),
            Some(HostPorts {
                https: 443,
                http: None
            })
        );
        let other = [
            &host[..],
            &["--host-port-https", "9443", "--host-port-http", "980"],
        ]
        .concat();
        assert_eq!(
            ports(&other),
            Some(HostPorts {
                https: 9443,
                http: Some(980)
            })
        );
        let wrong = [&direct[..], &["--host-port-https", "9443"]].concat();
        assert!(matches!(merge(&wrong, ""), Err(Error::Needs { .. })));
    }

    #[test]
    fn addresses_of_clients_come_from_flags_or_the_file() {
        let yaml = "{e2b: {domain: a.b}, addresses: [lb.example.com]}";
        assert_eq!(merge(&[], yaml).unwrap().addresses, ["lb.example.com"]);
        let flags = merge(&["--address", "127.0.0.1,2001:db8::1"], yaml).unwrap();
        assert_eq!(flags.addresses, ["127.0.0.1", "2001:db8::1"]);
    }

    #[test]
    fn quantities_follow_kubernetes() {
        for good in ["1", "50m", "0.5", "64Mi", "4Gi", "2G"] {
            assert!(quantity("x", good.into()).is_ok(), "{good:?}");
        }
        for bad in ["", "m", "1 Gi", "1GB", "-1", "1e400", ".5", "nan"] {
            assert!(quantity("x", bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn settings_never_show_the_key() {
        let settings = merge(&["--domain", "a.b"], "e2b: {adminApiKey: admin-987654321}").unwrap();
        assert!(!format!("{settings:?}").contains("987654321"));
    }
}
