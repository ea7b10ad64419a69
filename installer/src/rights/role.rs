//! Rights as RBAC objects: the smallest role for the person who installs.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::core::ObjectMeta;
use silica_manifests::Object;

use crate::rights::Right;

/// Name of all objects that are printed. They carry no label of an installation:
/// they belong to the administrator, and `uninstall` leaves them alone.
const NAME: &str = "silica-installer";
const API_GROUP: &str = "rbac.authorization.k8s.io";

/// Roles with exactly these rights, bound to the subjects if there are any.
pub fn objects(rights: &BTreeSet<Right>, subjects: &[Subject]) -> Vec<Object> {
    let mut scopes: BTreeMap<Option<&str>, Vec<&Right>> = BTreeMap::new();
    for right in rights {
        let is_cluster_wide_anyway = right.namespace.is_some()
            && rights
                .iter()
                .any(|other| other.namespace.is_none() && includes(other, right));
        if !is_cluster_wide_anyway {
            scopes.entry(right.namespace.as_deref()).or_default().push(right);
        }
    }
    let mut objects = Vec::new();
    for (namespace, rights) in scopes {
        let metadata = ObjectMeta {
            name: Some(NAME.into()),
            namespace: namespace.map(str::to_owned),
            ..ObjectMeta::default()
        };
        let rules = Some(rules(&rights));
        let role_ref = |kind: &str| RoleRef {
            api_group: API_GROUP.into(),
            kind: kind.into(),
            name: NAME.into(),
        };
        let bound = (!subjects.is_empty()).then(|| subjects.to_vec());
        if namespace.is_none() {
            objects.push(Object::of(&ClusterRole {
                metadata: metadata.clone(),
                rules,
                ..ClusterRole::default()
            }));
            objects.extend(bound.map(|subjects| {
                Object::of(&ClusterRoleBinding {
                    metadata,
                    role_ref: role_ref("ClusterRole"),
                    subjects: Some(subjects),
                })
            }));
        } else {
            objects.push(Object::of(&Role {
                metadata: metadata.clone(),
                rules,
            }));
            objects.extend(bound.map(|subjects| {
                Object::of(&RoleBinding {
                    metadata,
                    role_ref: role_ref("Role"),
                    subjects: Some(subjects),
                })
            }));
        }
    }
    objects
}

/// Whether the first right is at least the second, their scopes aside.
fn includes(one: &Right, other: &Right) -> bool {
    one.verb == other.verb
        && one.group == other.group
        && one.resource == other.resource
        && (one.name.is_none() || one.name == other.name)
}

/// What a rule applies to: group, verbs, names.
type Reach = (String, BTreeSet<String>, BTreeSet<String>);

/// The rights of one scope as few rules.
fn rules(rights: &[&Right]) -> Vec<PolicyRule> {
    // Verbs by object, without those that hold for every object of the kind.
    let mut verbs: BTreeMap<(&str, &str, Option<&str>), BTreeSet<String>> = BTreeMap::new();
    for right in rights {
        let is_general = right.name.is_some()
            && rights
                .iter()
                .any(|other| other.name.is_none() && includes(other, right));
        if !is_general {
            verbs
                .entry((&right.group, &right.resource, right.name.as_deref()))
                .or_default()
                .insert(right.verb.clone());
        }
    }
    // Names with the same verbs, then resources with the same of both.
    let mut names: BTreeMap<(&str, &str, BTreeSet<String>, bool), BTreeSet<String>> = BTreeMap::new();
    for ((group, resource, name), verbs) in verbs {
        let entry = names.entry((group, resource, verbs, name.is_some())).or_default();
        entry.extend(name.map(str::to_owned));
    }
    let mut resources: BTreeMap<Reach, BTreeSet<String>> = BTreeMap::new();
    for ((group, resource, verbs, _), names) in names {
        resources
            .entry((group.to_owned(), verbs, names))
            .or_default()
            .insert(resource.to_owned());
    }
    resources
        .into_iter()
        .map(|((group, verbs, names), resources)| PolicyRule {
            api_groups: Some(vec![group]),
            resources: Some(resources.into_iter().collect()),
            resource_names: (!names.is_empty()).then(|| names.into_iter().collect()),
            verbs: verbs.into_iter().collect(),
            ..PolicyRule::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use silica_manifests::{Images, Options};

    use super::*;
    use crate::rights;

    /// As the API server's authorizer decides.
    fn allows(objects: &[Object], right: &Right) -> bool {
        objects.iter().any(|object| {
            let in_scope = object.namespace.is_none() || object.namespace == right.namespace;
            let rules = Vec::<PolicyRule>::deserialize(&object.content["rules"]).unwrap_or_default();
            in_scope
                && rules.iter().any(|rule| {
                    let has =
                        |list: &Option<Vec<String>>, text: &str| list.iter().flatten().any(|one| one == text);
                    let named = rule.resource_names.is_none()
                        || right
                            .name
                            .as_ref()
                            .is_some_and(|name| has(&rule.resource_names, name));
                    rule.verbs.contains(&right.verb)
                        && has(&rule.api_groups, &right.group)
                        && has(&rule.resources, &right.resource)
                        && named
                })
        })
    }

    fn needed() -> BTreeSet<Right> {
        let images = Images {
            manager: "m".into(),
            runtime: "r".into(),
        };
        let options = Options::new("a.example".parse().unwrap(), images);
        rights::needed(&silica_manifests::objects(&options))
    }

    #[test]
    fn every_right_that_preflight_reviews_is_granted() {
        let rights = needed();
        let objects = objects(&rights, &[]);
        for right in &rights {
            assert!(allows(&objects, right), "{right:?} is not granted");
        }
    }

    #[test]
    fn nothing_else_is_granted() {
        let objects = objects(&needed(), &[]);
        let right = |verb: &str, resource: &str, namespace: Option<&str>| Right {
            namespace: namespace.map(str::to_owned),
            group: String::new(),
            resource: resource.into(),
            name: None,
            verb: verb.into(),
        };
        for foreign in [
            right("list", "secrets", None),
            right("get", "secrets", Some("default")),
            right("delete", "namespaces", None),
            right("patch", "secrets", Some("sandbox-system")),
        ] {
            assert!(!allows(&objects, &foreign), "{foreign:?} is granted");
        }
        let text = silica_manifests::documents(objects.iter()).unwrap();
        assert!(!text.contains('*'), "a wildcard is granted:\n{text}");
    }

    #[test]
    fn every_role_is_bound_to_the_subject() {
        let subject = Subject {
            kind: "User".into(),
            name: "jane".into(),
            ..Subject::default()
        };
        let kinds: Vec<String> = objects(&needed(), &[subject])
            .into_iter()
            .map(|object| object.resource.kind)
            .collect();
        assert_eq!(
            kinds,
            ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
        );
    }
}
