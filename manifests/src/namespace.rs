//! The namespace of an installation.

use k8s_openapi::api::core::v1::Namespace;
use kube::core::ObjectMeta;
use silica_api::{labels, names};

/// The namespace, which admits only pods of the `restricted` Pod Security level.
pub(crate) fn namespace() -> Namespace {
    let mut labels = labels::product();
    for mode in ["enforce", "audit", "warn"] {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), "restricted".into());
    }
    Namespace {
        metadata: ObjectMeta {
            name: Some(names::NAMESPACE.into()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

/// Metadata of a namespaced object of one component.
pub(crate) fn metadata(component: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(names::NAMESPACE.into()),
        ..cluster_metadata(component, name)
    }
}

/// Metadata of a cluster-scoped object of one component.
pub(crate) fn cluster_metadata(component: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        labels: Some(labels::component(component)),
        ..ObjectMeta::default()
    }
}
