//! Which objects the archive has, and which of each kind.

use kube::core::{ApiResource, GroupVersionKind};
use silica_api::names;

/// Where a kind is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// It has no namespaces.
    Cluster,
    /// The installation's namespace.
    Own,
    /// Every namespace: what users made.
    Everywhere,
}

/// Objects of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    group: &'static str,
    version: &'static str,
    pub(super) kind: &'static str,
    plural: &'static str,
    pub(super) place: Place,
    /// Those that have these labels; all when it is empty.
    pub(super) labels: &'static str,
}

const OURS: &str = "app.kubernetes.io/managed-by=silica";
const PODS_OF_SANDBOXES: &str = "agents.kruise.io/created-by=sandbox";
/// Pods that are no sandboxes, should there be some in the installation's own namespace.
const OTHER_PODS: &str = "!agents.kruise.io/created-by";

/// All kinds but Secrets, whose values must not even be asked for.
pub(super) const ALL: [Listed; 26] = [
    cluster("", "Node", "nodes", ""),
    cluster(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        OURS,
    ),
    cluster("networking.k8s.io", "IngressClass", "ingressclasses", ""),
    cluster("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", OURS),
    cluster(
        "rbac.authorization.k8s.io",
        "ClusterRoleBinding",
        "clusterrolebindings",
        OURS,
    ),
    own("", "ConfigMap", "configmaps"),
    own("", "Event", "events"),
    own("", "LimitRange", "limitranges"),
    Listed {
        labels: OTHER_PODS,
        ..own("", "Pod", "pods")
    },
    own("", "ResourceQuota", "resourcequotas"),
    own("", "Service", "services"),
    own("", "ServiceAccount", "serviceaccounts"),
    own("apps", "Deployment", "deployments"),
    own("apps", "ReplicaSet", "replicasets"),
    own("coordination.k8s.io", "Lease", "leases"),
    own("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    own("gateway.networking.k8s.io", "Gateway", "gateways"),
    own("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
    own("networking.k8s.io", "Ingress", "ingresses"),
    own("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
    own("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
    users("Sandbox", "sandboxes"),
    users("SandboxClaim", "sandboxclaims"),
    users("SandboxSet", "sandboxsets"),
    users("SandboxTemplate", "sandboxtemplates"),
    Listed {
        place: Place::Everywhere,
        ..cluster("", "Pod", "pods", PODS_OF_SANDBOXES)
    },
];

const fn cluster(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    labels: &'static str,
) -> Listed {
    Listed {
        group,
        version: "v1",
        kind,
        plural,
        place: Place::Cluster,
        labels,
    }
}

const fn own(group: &'static str, kind: &'static str, plural: &'static str) -> Listed {
    Listed {
        place: Place::Own,
        ..cluster(group, kind, plural, "")
    }
}

const fn users(kind: &'static str, plural: &'static str) -> Listed {
    Listed {
        version: names::VERSION,
        place: Place::Everywhere,
        ..cluster(names::GROUP, kind, plural, "")
    }
}

impl Listed {
    /// The kind as the API has it.
    pub(super) fn resource(&self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }
}

#[cfg(test)]
mod tests {
    use silica_api::labels;

    use super::*;

    #[test]
    fn selectors_are_made_of_the_labels_that_objects_carry() {
        assert_eq!(OURS, format!("{}={}", labels::APP_MANAGED_BY, names::PRODUCT));
        assert_eq!(PODS_OF_SANDBOXES, format!("{}=sandbox", labels::CREATED_BY));
        assert_eq!(OTHER_PODS, format!("!{}", labels::CREATED_BY));
    }

    #[test]
    fn no_secret_is_listed_with_its_values() {
        assert!(ALL.iter().all(|listed| listed.kind != "Secret"));
    }

    #[test]
    fn versions_are_those_of_the_groups() {
        let found: Vec<String> = ALL.iter().map(|listed| listed.resource().api_version).collect();
        for wanted in ["v1", "apps/v1", "agents.kruise.io/v1alpha1"] {
            assert!(found.iter().any(|one| one == wanted), "{wanted}");
        }
    }
}
