//! Who may do what: one ServiceAccount per role, and nothing it does not use.
//!
//! No rule reads Secrets cluster-wide. In their own namespace the server role
//! reads exactly two Secrets by name. The controller reads and patches exactly
//! those with certificates, which it renews, and makes and deletes one of them:
//! that of a CA that is about to follow. It also reads how to order official ones.
//! Their token key is mounted.

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject},
};
use silica_api::{lock, names};

use crate::{
    bag::{Object, Objects, Phase},
    namespace::{cluster_metadata, metadata},
};

const WATCHED: &[&str] = &["get", "list", "watch"];
const RENEWED: &[&str] = &["get", "list", "patch", "watch"];

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

fn named(rule: PolicyRule, resource_names: &[&str]) -> PolicyRule {
    PolicyRule {
        resource_names: Some(resource_names.iter().map(|name| (*name).to_owned()).collect()),
        ..rule
    }
}

fn controller_cluster_rules() -> Vec<PolicyRule> {
    let group = names::GROUP;
    vec![
        rule(
            "",
            &["pods", "persistentvolumeclaims"],
            &["create", "delete", "get", "list", "patch", "watch"],
        ),
        rule(
            group,
            &["sandboxes"],
            &["create", "delete", "get", "list", "patch", "update", "watch"],
        ),
        rule(group, &["sandboxsets"], &["get", "list", "patch", "watch"]),
        rule(group, &["sandboxtemplates"], WATCHED),
        // Deleted some time after their end.
        rule(group, &["sandboxclaims"], &["delete", "get", "list", "watch"]),
        rule(
            group,
            &["sandboxes/status", "sandboxsets/status", "sandboxclaims/status"],
            &["get", "patch", "update"],
        ),
        // Owner references that block deletion need this where the admission
        // plugin OwnerReferencesPermissionEnforcement is on.
        rule(
            group,
            &["sandboxes/finalizers", "sandboxsets/finalizers"],
            &["update"],
        ),
        rule("", &["events"], &["create", "patch"]),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
}

fn controller_namespace_rules() -> Vec<PolicyRule> {
    let leases = |verbs| rule("coordination.k8s.io", &["leases"], verbs);
    vec![
        // `create` cannot be limited by name: the name is in the body.
        leases(&["create"]),
        // `list` and `watch` with a name: a candidate watches the one Lease.
        named(
            leases(&["get", "list", "patch", "update", "watch"]),
            &[names::CONTROLLER_LEASE],
        ),
        // The renewal of certificates, and of the CA under the installation's lock.
        named(leases(&["delete", "get", "update"]), &[lock::LEASE]),
        named(
            rule("", &["secrets"], RENEWED),
            &[names::TLS_SECRET, names::CA_SECRET, names::CA_NEXT_SECRET],
        ),
        // Here `create` can be limited: server-side apply names what it creates.
        named(
            rule("", &["secrets"], &["create", "delete"]),
            &[names::CA_NEXT_SECRET],
        ),
        named(rule("", &["secrets"], WATCHED), &[names::ACME_SECRET]),
        named(rule("", &["configmaps"], RENEWED), &[names::CA_BUNDLE]),
    ]
}

fn manager_cluster_rules() -> Vec<PolicyRule> {
    let group = names::GROUP;
    vec![
        rule(
            group,
            &["sandboxes"],
            &["create", "delete", "get", "list", "patch", "watch"],
        ),
        rule(group, &["sandboxsets", "sandboxtemplates"], WATCHED),
    ]
}

fn manager_namespace_rules() -> Vec<PolicyRule> {
    vec![named(
        rule("", &["secrets"], WATCHED),
        &[names::API_KEYS_SECRET, names::TLS_SECRET],
    )]
}

fn subject(component: &str) -> Vec<Subject> {
    vec![Subject {
        kind: "ServiceAccount".into(),
        name: component.into(),
        namespace: Some(names::NAMESPACE.into()),
        ..Subject::default()
    }]
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: "rbac.authorization.k8s.io".into(),
        kind: kind.into(),
        name: name.into(),
    }
}

fn account(component: &str, cluster: Vec<PolicyRule>, namespaced: Vec<PolicyRule>) -> [Object; 5] {
    // Cluster-scoped names carry the product, since the whole cluster shares them.
    let cluster_name = format!("{}:{component}", names::PRODUCT);
    [
        Object::of(&ServiceAccount {
            metadata: metadata(component, component),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }),
        Object::of(&ClusterRole {
            metadata: cluster_metadata(component, &cluster_name),
            rules: Some(cluster),
            ..ClusterRole::default()
        }),
        Object::of(&ClusterRoleBinding {
            metadata: cluster_metadata(component, &cluster_name),
            role_ref: role_ref("ClusterRole", &cluster_name),
            subjects: Some(subject(component)),
        }),
        Object::of(&Role {
            metadata: metadata(component, component),
            rules: Some(namespaced),
        }),
        Object::of(&RoleBinding {
            metadata: metadata(component, component),
            role_ref: role_ref("Role", component),
            subjects: Some(subject(component)),
        }),
    ]
}

/// Adds the accounts of both roles.
pub(crate) fn add(bag: &mut Objects) {
    bag.add(
        Phase::Access,
        account(
            names::CONTROLLER,
            controller_cluster_rules(),
            controller_namespace_rules(),
        ),
    );
    bag.add(
        Phase::Access,
        account(names::MANAGER, manager_cluster_rules(), manager_namespace_rules()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(rule: &PolicyRule, resource: &str) -> bool {
        rule.resources
            .iter()
            .flatten()
            .any(|name| name == resource || name == "*")
    }

    #[test]
    fn nobody_reads_secrets_cluster_wide() {
        for rule in controller_cluster_rules().iter().chain(&manager_cluster_rules()) {
            assert!(!mentions(rule, "secrets"), "{rule:?}");
        }
    }

    #[test]
    fn the_controller_role_renews_secrets_by_name_and_makes_only_that_of_the_next_ca() {
        let rules = controller_namespace_rules();
        let on = |resource| {
            let of_resource = rules.iter().filter(|rule| mentions(rule, resource));
            of_resource.collect::<Vec<_>>()
        };
        let [secrets, made, read] = on("secrets")[..] else {
            panic!("{rules:?}");
        };
        assert_eq!(read.resource_names.as_deref().unwrap(), [names::ACME_SECRET]);
        assert_eq!(read.verbs, ["get", "list", "watch"]);
        assert_eq!(
            secrets.resource_names.as_deref().unwrap(),
            [names::TLS_SECRET, names::CA_SECRET, names::CA_NEXT_SECRET]
        );
        assert_eq!(made.verbs, ["create", "delete"]);
        assert_eq!(made.resource_names.as_deref().unwrap(), [names::CA_NEXT_SECRET]);
        let [maps] = on("configmaps")[..] else {
            panic!("{rules:?}");
        };
        assert_eq!(maps.resource_names.as_deref().unwrap(), [names::CA_BUNDLE]);
        for rule in [secrets, maps] {
            assert_eq!(rule.verbs, ["get", "list", "patch", "watch"]);
        }
    }

    #[test]
    fn the_server_role_reads_two_secrets_by_name_and_writes_none() {
        let rules = manager_namespace_rules();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].verbs, ["get", "list", "watch"]);
        assert_eq!(
            rules[0].resource_names.as_deref().unwrap(),
            [names::API_KEYS_SECRET, names::TLS_SECRET]
        );
    }

    #[test]
    fn a_candidate_watches_the_one_lease() {
        let rules = controller_namespace_rules();
        let named = rules
            .iter()
            .find(|rule| mentions(rule, "leases") && rule.verbs.iter().any(|verb| verb == "watch"))
            .unwrap();
        assert!(named.verbs.iter().any(|verb| verb == "watch"));
        assert_eq!(
            named.resource_names.as_deref().unwrap(),
            [names::CONTROLLER_LEASE]
        );
    }

    #[test]
    fn no_rule_has_a_wildcard_or_escalates() {
        let all = [
            controller_cluster_rules(),
            controller_namespace_rules(),
            manager_cluster_rules(),
            manager_namespace_rules(),
        ];
        for rule in all.iter().flatten() {
            let texts = rule
                .verbs
                .iter()
                .chain(rule.resources.iter().flatten())
                .chain(rule.api_groups.iter().flatten());
            for text in texts {
                assert!(
                    !["*", "escalate", "bind", "impersonate", "pods/exec"].contains(&text.as_str()),
                    "{rule:?}"
                );
            }
        }
    }

    #[test]
    fn the_server_role_never_touches_pods_or_status() {
        for rule in manager_cluster_rules() {
            for resource in [
                "pods",
                "sandboxes/status",
                "sandboxsets/status",
                "sandboxclaims",
                "nodes",
            ] {
                assert!(!mentions(&rule, resource), "{rule:?}");
            }
        }
    }
}
