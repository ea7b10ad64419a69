//! Objects that others have a hand in: who has is told, and taking over works.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use silica_api::{crd, labels, names};

use crate::{assert_same, expect, fewer, harness::Harness, install, withdraw};

/// A field manager that is not ours.
const OTHER: &str = "other-tool";

pub(crate) async fn what_is_adopted_is_ours_from_then_on(harness: &Harness) {
    let namespaces: Api<Namespace> = Api::all(harness.client());
    let named = |name: &str| json!({"metadata": {"name": name}});
    let namespace = serde_json::from_value(named(names::NAMESPACE)).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(harness.client(), names::NAMESPACE);
    let map = serde_json::from_value(named("precious")).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(harness.client());
    let mut foreign = crd::all().remove(0);
    foreign.metadata.labels = None;
    foreign
        .annotations_mut()
        .insert("meta.helm.sh/release-name".to_owned(), "agents".to_owned());
    let name = foreign.name_any();
    definitions
        .create(&PostParams::default(), &foreign)
        .await
        .unwrap();

    let adopt = [&install()[..], &["--adopt"]].concat();
    expect(&harness.silica(&adopt), 0, &[]);
    let definition = definitions.get(&name).await.unwrap();
    assert_eq!(definition.labels()[labels::APP_MANAGED_BY], names::PRODUCT);
    // From now on it takes no word.
    expect(&harness.silica(&install()), 0, &[]);
    withdraw(harness).await;
    assert!(maps.get_opt("precious").await.unwrap().is_some());
    harness.remove_namespace().await;
    harness.remove_definitions().await;
}

/// Two objects with fields of others: both are named, nothing is written, and
/// `--force-conflicts` takes the fields back.
pub(crate) async fn all_conflicts_are_told_and_can_be_forced(
    harness: &Harness,
    reference: &BTreeMap<String, Value>,
) {
    expect(&harness.silica(&install()), 0, &[]);
    let deployments: Api<Deployment> = Api::namespaced(harness.client(), names::NAMESPACE);
    for name in [names::CONTROLLER, names::MANAGER] {
        let taken = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name}, "spec": {"replicas": 7}});
        deployments
            .patch(name, &PatchParams::apply(OTHER).force(), &Patch::Apply(&taken))
            .await
            .unwrap();
    }
    // What is to be removed by the same run is not removed either.
    expect(
        &harness.silica(&fewer()),
        1,
        &[
            "nothing was changed: the server would refuse 2 objects",
            "Deployment sandbox-system/sandbox-controller: .spec.replicas was set by \"other-tool\"",
            "Deployment sandbox-system/sandbox-manager: .spec.replicas was set by \"other-tool\"",
            "--force-conflicts",
        ],
    );
    assert!(harness.state().await.contains_key("SandboxSet default/base"));

    let dry = [&install()[..], &["--force-conflicts", "--dry-run"]].concat();
    let shown = String::from_utf8(harness.silica(&dry).stdout).unwrap();
    for part in [
        "--- Deployment sandbox-system/sandbox-manager (in the cluster)",
        "-  replicas: 7",
        "+  replicas: 3",
    ] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
    let dry = harness.silica(&[&dry[..], &["-o", "json"]].concat());
    let plan: Value = serde_json::from_slice(&dry.stdout).unwrap();
    let diffs: Vec<&str> = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|change| change["diff"].as_str())
        .collect();
    assert_eq!(diffs.len(), 2, "{diffs:?}");
    assert!(
        diffs.iter().all(|diff| diff.contains("-  replicas: 7\n")),
        "{diffs:?}"
    );

    expect(
        &harness.silica(&[&install()[..], &["--force-conflicts"]].concat()),
        0,
        &[],
    );
    assert_same(&harness.state().await, reference, "after --force-conflicts");
    withdraw(harness).await;
}
