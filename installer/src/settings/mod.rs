//! Flags, variables, file and what an earlier run kept become one validated value.
//!
//! [`values`] defines every parameter once; [`parameter`] derives flags, variables
//! and schema from it. Each source becomes a [`layer`], [`resolve`] lays them over
//! one another: default < cluster < file < variable < flag.

use std::path::PathBuf;

use serde_json::Value;
use silica_certs::key::KeyType;
use silica_core::api_key::ApiKey;
use silica_manifests::Options;

use self::{options::options, registry::registry};
use crate::exposure::address;

mod args;
mod conflicts;
pub mod env;
mod error;
mod flags;
mod kind;
pub mod layer;
mod letters;
mod options;
pub mod parameter;
mod registry;
pub mod resolve;
mod said;
mod toleration;
pub mod values;
mod way_in;

pub use self::letters::domains_of_flag;
pub use self::{
    args::InstallArgs,
    error::Error,
    flags::Flags,
    layer::{Layer, Origin},
    registry::RegistrySettings,
    resolve::{Resolved, ValueChange},
    said::Said,
    values::{Exposure, ImageDelivery, Values},
};

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
    /// Apply, and neither wait nor verify.
    pub no_wait: bool,
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

/// A domain where none is given, as an entry of a layer.
pub(crate) fn stand_in(domain: &str) -> (&'static str, layer::Given) {
    let given = layer::Given {
        value: vec![domain].into(),
        origin: Origin::Default,
    };
    ("e2b.domain", given)
}

impl Settings {
    /// The settings of this run alone, without a cluster; `domain` stands in
    /// where none is given.
    pub fn read(args: &InstallArgs, domain: Option<&str>) -> Result<Self, Error> {
        let stand_in = domain.map(stand_in);
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
            no_wait: args.no_wait,
            skip_verify: args.skip_verify,
            no_rollback: args.no_rollback,
            resolved,
        })
    }
}

fn key_type(values: &Values, resolved: &Resolved) -> Result<Option<KeyType>, Error> {
    let parsed = values.certificate.key_type.as_deref().map(str::parse).transpose();
    parsed.map_err(|source| Error::KeyType {
        origin: resolved.origin("certificate.keyType").clone(),
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
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        install: InstallArgs,
    }

    pub(super) fn merge(flags: &[&str], yaml: &str) -> Result<Settings, Error> {
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
    fn settings_never_show_the_key() {
        let settings = merge(&["--domain", "a.b"], "e2b: {adminApiKey: admin-987654321}").unwrap();
        assert!(!format!("{settings:?}").contains("987654321"));
    }
}
