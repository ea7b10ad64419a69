//! Definitions with our names that are there already, and who made them.

use std::{collections::BTreeSet, fmt};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt, core::ObjectMeta};
use silica_api::{crd, labels};

use super::is_ours;
use crate::cluster::{CONCURRENCY, Cluster, Error, request};

/// A definition with a name of ours that exists already.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CrdFact {
    /// Name, for example `sandboxes.agents.kruise.io`.
    pub name: String,
    /// Whether it carries our label.
    pub is_ours: bool,
    /// Who made it, as far as it can be told.
    pub owner: Owner,
    /// `Namespaced` or `Cluster`.
    pub scope: String,
    /// Versions in which objects may be stored (`status.storedVersions`).
    pub stored_versions: Vec<String>,
}

/// Who made an object.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Owner {
    /// A Helm release, by its annotations.
    Helm { namespace: String, release: String },
    /// A product, by the recommended labels.
    Product(String),
    /// Only the field managers are known.
    Manager(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helm { namespace, release } => write!(f, "Helm release {namespace}/{release}"),
            Self::Product(name) => f.write_str(name),
            Self::Manager(name) => write!(f, "field manager {name}"),
        }
    }
}

pub(super) async fn read(cluster: &Cluster) -> Result<Vec<CrdFact>, Error> {
    let api: &Api<CustomResourceDefinition> = &Api::all(cluster.client.clone());
    let facts = stream::iter(crd::all())
        .map(|definition| async move {
            let name = definition.name_any();
            let found = api.get_opt(&name).await;
            let found = found.map_err(request("read", format!("CustomResourceDefinition {name}")))?;
            Ok::<_, Error>(found.map(|found| crd_fact(name, found)))
        })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(facts.into_iter().flatten().collect())
}

fn crd_fact(name: String, found: CustomResourceDefinition) -> CrdFact {
    CrdFact {
        name,
        is_ours: is_ours(&found.metadata),
        owner: owner(&found.metadata),
        scope: found.spec.scope,
        stored_versions: found
            .status
            .and_then(|status| status.stored_versions)
            .unwrap_or_default(),
    }
}

/// Who made an object: Helm says so in annotations, others in labels, and the
/// field managers are the last resort.
pub(super) fn owner(meta: &ObjectMeta) -> Owner {
    let annotation = |key: &str| meta.annotations.as_ref().and_then(|map| map.get(key));
    if let Some(release) = annotation("meta.helm.sh/release-name") {
        return Owner::Helm {
            namespace: annotation("meta.helm.sh/release-namespace")
                .cloned()
                .unwrap_or_default(),
            release: release.clone(),
        };
    }
    let label = |key: &str| meta.labels.as_ref().and_then(|map| map.get(key));
    if let Some(product) = label(labels::APP_PART_OF).or_else(|| label(labels::APP_MANAGED_BY)) {
        return Owner::Product(product.clone());
    }
    let managers: BTreeSet<&str> = meta
        .managed_fields
        .iter()
        .flatten()
        .filter_map(|entry| entry.manager.as_deref())
        .collect();
    if managers.is_empty() {
        return Owner::Manager("unknown".into());
    }
    Owner::Manager(managers.into_iter().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_owner_of_a_definition_is_named_by_the_best_mark_it_has() {
        let entry = ManagedFieldsEntry {
            manager: Some("kubectl".into()),
            ..ManagedFieldsEntry::default()
        };
        let mut meta = ObjectMeta {
            managed_fields: Some(vec![entry]),
            ..ObjectMeta::default()
        };
        assert_eq!(owner(&meta).to_string(), "field manager kubectl");
        meta.labels = Some(map(&[(labels::APP_MANAGED_BY, "agents")]));
        assert_eq!(owner(&meta).to_string(), "agents");
        meta.annotations = Some(map(&[
            ("meta.helm.sh/release-name", "r"),
            ("meta.helm.sh/release-namespace", "n"),
        ]));
        assert_eq!(owner(&meta).to_string(), "Helm release n/r");
    }
}
