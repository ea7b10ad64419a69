//! The registry to push to.

use std::path::PathBuf;

use silica_registry::{Address, Transport};

use super::{Error, resolve::Resolved, values};

/// Name of the pull Secret that is made when none is named.
const PULL_SECRET: &str = "silica-registry";

/// A registry to push to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistrySettings {
    /// Where to.
    pub address: Address,
    /// How it is spoken to.
    pub transport: Transport,
    /// Name of a pull Secret to make of the credentials that push.
    pub make_pull_secret: Option<String>,
}

/// Where to, how, and whether a pull Secret is made.
pub(super) fn registry(
    images: &values::Images,
    resolved: &Resolved,
) -> Result<Option<RegistrySettings>, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::merge;

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
}
