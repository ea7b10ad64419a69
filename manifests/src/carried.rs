//! The executables as ConfigMaps: hashed names, immutable content.
//!
//! A name says what is inside, so another executable is another set of ConfigMaps: pods of the
//! old version keep theirs until the installer has rolled the new ones out and drops the rest.

use k8s_openapi::{
    ByteString,
    api::{
        core::v1::ConfigMap,
        rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject},
    },
};
use silica_api::{carried::owner, names};

use crate::{
    bag::{Object, Objects, Phase},
    namespace::{cluster_metadata, metadata},
    options::Options,
};

/// Adds the ConfigMaps, and the role that lets the controller copy those of the runtime.
pub(crate) fn add(bag: &mut Objects, options: &Options) {
    let Some(carried) = &options.carried else { return };
    let parts = [
        (names::PRODUCT, &carried.loader),
        (names::MANAGER, &carried.manager),
        (names::RUNTIME_IMAGE, &carried.runtime),
    ];
    for (component, packed) in parts {
        bag.add(
            Phase::Executables,
            packed
                .chunks
                .iter()
                .map(|(name, key, content)| Object::of(&config_map(component, name, key, content))),
        );
    }
    let name = owner(&carried.runtime.sha256);
    let role = ClusterRole {
        metadata: cluster_metadata(names::CONTROLLER, &name),
        rules: Some(rules(&name, carried.runtime_maps())),
        ..ClusterRole::default()
    };
    let binding = ClusterRoleBinding {
        metadata: cluster_metadata(names::CONTROLLER, &name),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name,
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: names::CONTROLLER.into(),
            namespace: Some(names::NAMESPACE.into()),
            ..Subject::default()
        }]),
    };
    bag.add(Phase::Access, [Object::of(&role), Object::of(&binding)]);
}

fn config_map(component: &str, name: &str, key: &str, content: &[u8]) -> ConfigMap {
    ConfigMap {
        metadata: metadata(component, name),
        immutable: Some(true),
        binary_data: Some([(key.to_owned(), ByteString(content.to_vec()))].into()),
        ..ConfigMap::default()
    }
}

/// Reading and creating these ConfigMaps in any namespace, and reading the role itself, whose
/// UID the copies name as owner.
fn rules(role: &str, maps: Vec<String>) -> Vec<PolicyRule> {
    let rule = |group: &str, resource: &str, verb: &str, names: Option<Vec<String>>| PolicyRule {
        api_groups: Some(vec![group.into()]),
        resources: Some(vec![resource.into()]),
        verbs: vec![verb.into()],
        resource_names: names,
        ..PolicyRule::default()
    };
    vec![
        // `create` cannot be limited by name: the name is in the body.
        rule("", "configmaps", "create", None),
        rule("", "configmaps", "get", Some(maps)),
        rule(
            "rbac.authorization.k8s.io",
            "clusterroles",
            "get",
            Some(vec![role.to_owned()]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Images, executables::example, objects};

    fn options() -> Options {
        let images = Images {
            manager: "pause".into(),
            runtime: "pause".into(),
        };
        Options {
            carried: Some(example()),
            ..Options::new("a.example.com".parse().unwrap(), images)
        }
    }

    #[test]
    fn an_executable_is_cut_into_immutable_hashed_maps() {
        let bag = objects(&options());
        let maps: Vec<_> = bag.of_phase(Phase::Executables).collect();
        let names: BTreeMap<_, _> = maps
            .iter()
            .map(|map| (map.name.as_str(), &map.content["binaryData"]))
            .collect();
        let expected = [
            "sandbox-manager-00-000000000000",
            "sandbox-manager-01-000000000000",
            "sandbox-runtime-00-000000000000",
            "silica-loader-111111111111",
        ];
        assert_eq!(names.keys().copied().collect::<Vec<_>>(), expected);
        assert!(maps.iter().all(|map| map.content["immutable"] == true));
        assert!(names["sandbox-manager-01-000000000000"]["chunk-01"].is_string());
    }

    #[test]
    fn the_controller_may_copy_what_brings_the_runtime_and_nothing_else() {
        let bag = objects(&options());
        let role = bag.find("ClusterRole", "silica:runtime-333333333333").unwrap();
        let rules = role.content["rules"].as_array().unwrap();
        assert_eq!(
            rules[1]["resourceNames"],
            serde_json::json!(["silica-loader-111111111111", "sandbox-runtime-00-000000000000"])
        );
        assert_eq!(rules[0]["verbs"], serde_json::json!(["create"]));
        assert!(
            bag.find("ClusterRoleBinding", "silica:runtime-333333333333")
                .is_some()
        );
    }

    #[test]
    fn without_it_there_is_no_trace() {
        let plain = Options {
            carried: None,
            ..options()
        };
        let bag = objects(&plain);
        assert_eq!(bag.of_phase(Phase::Executables).count(), 0);
        assert!(bag.iter().all(|object| !object.name.contains("runtime")));
    }
}
