//! The namespace that the default templates go to.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use silica_api::names;
use silica_manifests::Options;

use crate::cluster::{Cluster, Error, found, request};

use super::Known;

/// What there is of the templates' namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemplateNamespace {
    /// Its name.
    pub name: String,
    /// What the cluster has of it.
    pub state: Known<NamespaceState>,
}

/// Whether objects can be made in a namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NamespaceState {
    /// It is there.
    Active,
    /// It is being removed, and takes nothing new.
    Terminating,
    /// It is not there.
    Absent,
}

/// Reads the namespace; `None` when there is nothing to ask about: no templates, or
/// templates in the namespace that the installation makes itself.
pub async fn read(cluster: &Cluster, options: &Options) -> Result<Option<TemplateNamespace>, Error> {
    let Some(templates) = &options.templates else {
        return Ok(None);
    };
    let name = templates.namespace.to_string();
    if name == names::NAMESPACE {
        return Ok(None);
    }
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let state = match found(api.get(&name).await) {
        Ok(namespace) => Known::Read(state(namespace.as_ref())),
        Err(error) => Known::unless_forbidden(request("read", format!("Namespace {name}"))(error))?,
    };
    Ok(Some(TemplateNamespace { name, state }))
}

fn state(namespace: Option<&Namespace>) -> NamespaceState {
    match namespace {
        None => NamespaceState::Absent,
        Some(namespace) if namespace.metadata.deletion_timestamp.is_some() => NamespaceState::Terminating,
        Some(_) => NamespaceState::Active,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_on_its_way_out_takes_nothing_new() {
        let namespace =
            |metadata| -> Namespace { serde_json::from_value(json!({"metadata": metadata})).unwrap() };
        assert_eq!(state(None), NamespaceState::Absent);
        assert_eq!(
            state(Some(&namespace(json!({"name": "a"})))),
            NamespaceState::Active
        );
        let leaving = json!({"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(state(Some(&namespace(leaving))), NamespaceState::Terminating);
    }
}
