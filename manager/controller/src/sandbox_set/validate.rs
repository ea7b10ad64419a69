//! Checks a set before anything is done for it; no IO.

use kube::ResourceExt;
use silica_api::{crd::SandboxSet, types::SandboxId};

use super::{budget, member_name, plan::Limits};
use crate::{
    context::Settings,
    template::{self, Blueprint},
};

/// Share of a pool that an update may replace at a time, in percent.
const DEFAULT_UPDATE_PERCENT: usize = 20;

/// Why nothing can be done for a set until somebody changes it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Template(#[from] template::Error),
    #[error(transparent)]
    Limit(#[from] budget::Error),
    #[error("namespace and name are too long together for sandbox ids: {0}")]
    Name(#[from] silica_api::types::Error),
}

/// A sound set.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) blueprint: Blueprint,
    pub(super) revision: String,
    pub(super) limits: Limits,
}

/// Checks template, limits and the length of names.
pub(super) fn pool(
    set: &SandboxSet,
    blueprint: Result<Blueprint, template::Error>,
    settings: &Settings,
) -> Result<Pool, Error> {
    let blueprint = blueprint?;
    let member_name = member_name::longest(set);
    SandboxId::new(&set.namespace().unwrap_or_default(), &member_name)?;

    let replicas = usize::try_from(set.spec.replicas).unwrap_or(0);
    let max_creating = set
        .spec
        .scale_strategy
        .as_ref()
        .and_then(|strategy| strategy.max_unavailable.as_ref())
        .map(|limit| budget::absolute("scaleStrategy.maxUnavailable", limit, replicas))
        .transpose()?;
    let max_updating = set
        .spec
        .update_strategy
        .as_ref()
        .and_then(|strategy| strategy.max_unavailable.as_ref())
        .map(|limit| budget::absolute("updateStrategy.maxUnavailable", limit, replicas))
        .transpose()?
        .unwrap_or_else(|| (replicas * DEFAULT_UPDATE_PERCENT).div_ceil(100));
    let revision = blueprint.revision(settings.runtime.identity());
    Ok(Pool {
        blueprint,
        revision,
        limits: Limits {
            replicas,
            max_creating,
            max_updating,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use silica_core::token::TokenKey;

    use super::*;

    fn validated(namespace: &str, spec: &Value) -> Result<Limits, Error> {
        let set: SandboxSet = serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet",
            "metadata": {"name": "code-interpreter", "namespace": namespace}, "spec": spec,
        }))
        .unwrap();
        let settings = Settings {
            runtime: crate::RuntimeSource::Image("r".to_owned()),
            token_key: TokenKey::new(&[0; 32]).unwrap(),
        };
        let blueprint = template::resolve(&set.spec, |_| None);
        pool(&set, blueprint, &settings).map(|pool| pool.limits)
    }

    #[test]
    fn the_guides_limits_are_taken() {
        let spec = json!({"replicas": 10, "scaleStrategy": {"maxUnavailable": 500}, "template": {}});
        let expected = Limits {
            replicas: 10,
            max_creating: Some(500),
            max_updating: 2,
        };
        assert_eq!(validated("default", &spec), Ok(expected));
    }

    #[test]
    fn percentages_are_of_the_replicas() {
        let spec = json!({"replicas": 5, "template": {}, "scaleStrategy": {"maxUnavailable": "50%"},
            "updateStrategy": {"maxUnavailable": "0%"}});
        assert_eq!(
            validated("default", &spec),
            Ok(Limits {
                replicas: 5,
                max_creating: Some(3),
                max_updating: 0
            })
        );
    }

    #[test]
    fn a_set_that_cannot_work_is_refused() {
        assert!(matches!(
            validated("default", &json!({"replicas": 1})),
            Err(Error::Template(_))
        ));
        let spec = json!({"replicas": 1, "template": {}, "scaleStrategy": {"maxUnavailable": "many"}});
        assert!(matches!(validated("default", &spec), Err(Error::Limit(_))));
        let spec = json!({"replicas": 1, "template": {}});
        assert!(matches!(validated(&"n".repeat(60), &spec), Err(Error::Name(_))));
    }
}
