//! What is somebody else's, or cannot be read any more, is refused before anything is written.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use silica_api::{
    crd::{self, SandboxSet},
    names,
};

use crate::{
    expect,
    harness::{Harness, UNINSTALL},
    install, parts, withdraw,
};

pub(crate) async fn foreign_definitions_are_refused(harness: &Harness) {
    let api: Api<CustomResourceDefinition> = Api::all(harness.client());
    let mut foreign = crd::all().remove(0);
    foreign.metadata.labels = None;
    foreign.annotations_mut().extend([
        ("meta.helm.sh/release-name".to_owned(), "agents".to_owned()),
        ("meta.helm.sh/release-namespace".to_owned(), "other".to_owned()),
    ]);
    api.create(&PostParams::default(), &foreign).await.unwrap();
    expect(
        &harness.silica(&install()),
        79,
        &[&foreign.name_any(), "Helm release other/agents", "--adopt"],
    );
    assert!(harness.namespace().await.is_none());
    harness.remove_definitions().await;
}

pub(crate) async fn a_foreign_namespace_is_refused(harness: &Harness) {
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
    expect(
        &harness.silica(&install()),
        79,
        &["ConfigMap precious", "--adopt"],
    );
    let definitions: Api<CustomResourceDefinition> = Api::all(harness.client());
    let name = crd::all().remove(0).name_any();
    assert!(definitions.get_opt(&name).await.unwrap().is_none());
    harness.remove_namespace().await;
}

/// Templates are written last, so this would be found when everything else stands.
pub(crate) async fn templates_without_their_namespace_are_refused(harness: &Harness) {
    let elsewhere = [&install()[..], &["--template-namespace", "nowhere"]].concat();
    expect(
        &harness.silica(&elsewhere),
        79,
        &[
            "namespace nowhere takes the templates",
            "kubectl create namespace nowhere",
        ],
    );
    assert!(harness.namespace().await.is_none());
}

/// The definitions are there from an earlier installation.
pub(crate) async fn an_object_of_somebody_else_is_refused(
    harness: &Harness,
    reference: &BTreeMap<String, Value>,
) {
    let of_sets = |(title, _): &(&String, &Value)| title.starts_with("SandboxSet default/");
    let (title, wanted) = reference.iter().find(of_sets).unwrap();
    let name = title.rsplit('/').next().unwrap();
    let theirs = json!({"apiVersion": wanted["apiVersion"], "kind": "SandboxSet",
        "metadata": {"name": name, "namespace": "default"}, "spec": wanted["spec"]});
    let sets: Api<SandboxSet> = Api::namespaced(harness.client(), "default");
    sets.patch(name, &PatchParams::apply("jane"), &Patch::Apply(&theirs))
        .await
        .unwrap();
    for args in [install(), [&["check"], &parts()[..]].concat()] {
        let refused = ["field manager jane", "--adopt", title];
        expect(&harness.silica(&args), 79, &refused);
    }
    assert!(harness.secrets().await.is_empty(), "something was written");
    let left = sets.get(name).await.unwrap();
    assert!(left.metadata.labels.is_none(), "{left:?}");
    let adopt = [&install()[..], &["--adopt", "--force-conflicts"]].concat();
    expect(&harness.silica(&adopt), 0, &[]);
    // From now on it is part of the installation.
    expect(&harness.silica(&install()), 0, &[]);
    withdraw(harness).await;
    assert!(sets.get_opt(name).await.unwrap().is_none());
}

pub(crate) async fn a_lost_stored_version_stops_the_upgrade(harness: &Harness) {
    expect(&harness.silica(&install()), 0, &[]);
    let api: Api<CustomResourceDefinition> = Api::all(harness.client());
    let name = crd::all().remove(0).name_any();
    let stored = |versions: &[&str]| Patch::Merge(json!({"status": {"storedVersions": versions}}));
    let mut definition = api.get(&name).await.unwrap();
    let mut newer = definition.spec.versions[0].clone();
    newer.name = "v1".into();
    newer.storage = false;
    definition.spec.versions.push(newer);
    definition.metadata.managed_fields = None;
    api.replace(&name, &PostParams::default(), &definition)
        .await
        .unwrap();
    let params = PatchParams::default();
    api.patch_status(&name, &params, &stored(&["v1alpha1", "v1"]))
        .await
        .unwrap();
    expect(&harness.silica(&install()), 79, &[&name, "objects stored as v1,"]);
    api.patch_status(&name, &params, &stored(&["v1alpha1"]))
        .await
        .unwrap();
    harness.remove_definitions().await;
    // What is missing is told like anything else that is wrong, on standard output.
    for command in ["status", "doctor"] {
        let told = harness.silica(&[command]);
        expect(&told, 79, &[]);
        let shown = String::from_utf8(told.stdout).unwrap();
        assert!(
            shown.contains("they are missing, and with them all sandboxes"),
            "{shown}"
        );
    }
    expect(&harness.silica(&UNINSTALL), 0, &[]);
}
