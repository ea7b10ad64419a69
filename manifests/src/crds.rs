//! The custom resource definitions, marked as ours.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use silica_api::{crd, labels};

/// All definitions. The labels let a later installation tell its own
/// definitions from those of another product with the same API group.
pub(crate) fn definitions() -> Vec<CustomResourceDefinition> {
    crd::all()
        .into_iter()
        .map(|mut definition| {
            definition
                .metadata
                .labels
                .get_or_insert_default()
                .extend(labels::product());
            definition
        })
        .collect()
}
