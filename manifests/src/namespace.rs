//! The namespace of an installation.

use k8s_openapi::api::core::v1::Namespace;
use kube::core::ObjectMeta;
use silica_api::{labels, names};

use crate::options::Options;

/// The namespace, which admits only pods of the `restricted` Pod Security level.
/// Ports of the node are the one thing that no level but `privileged` admits; with
/// them the level is still audited and warned about.
pub(crate) fn namespace(options: &Options) -> Namespace {
    let enforced = if options.host_ports().is_some() {
        "privileged"
    } else {
        "restricted"
    };
    let mut labels = labels::product();
    for (mode, level) in [
        ("enforce", enforced),
        ("audit", "restricted"),
        ("warn", "restricted"),
    ] {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), level.into());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{DirectService, Images, ServiceType};

    #[test]
    fn the_level_is_lowered_for_ports_of_the_node_only() {
        let images = Images {
            manager: "m".into(),
            runtime: "r".into(),
        };
        let mut options = Options::new("a.example".parse().unwrap(), images);
        let enforced = |options: &Options| {
            let labels = namespace(options).metadata.labels.unwrap();
            labels["pod-security.kubernetes.io/enforce"].clone()
        };
        options.direct = Some(DirectService::default());
        assert_eq!(enforced(&options), "restricted");
        options.direct = Some(DirectService {
            service_type: ServiceType::HostPort,
            ..DirectService::default()
        });
        assert_eq!(enforced(&options), "privileged");
    }
}
