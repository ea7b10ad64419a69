//! The binary against a real API server, named by the kubeconfig in
//! `SILICA_TEST_KUBECONFIG`: a throw-away cluster without an installation.
//!
//! Needs an API server and the controller manager (for deletion), but no node:
//! nothing is waited for, since no image is there.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

#[path = "../harness/mod.rs"]
mod harness;

use std::{
    collections::BTreeMap,
    process::Output,
    time::{Duration, Instant},
};

use harness::Harness;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, Namespace},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::ApiResource,
};
use serde_json::{Value, json};
use silica::lock;
use silica_api::{crd, names};

/// Everything that an installation may consist of.
const PARTS: [&str; 15] = [
    "--domain",
    "silica.localhost",
    "--expose",
    "direct",
    "--service-type",
    "NodePort",
    "--images",
    "none",
    "--manager-image",
    "silica.invalid/manager:1",
    "--runtime-image",
    "silica.invalid/runtime:1",
    "--templates",
    "--template-image-base",
    "silica.invalid/base:1",
];
/// Phases of an installation, as their progress lines name them. These come only
/// when there is nothing, so one kill follows the other.
const EARLY: [&str; 4] = ["Preflight", "Comparison", "Namespace", "Definitions"];
/// These come again after an uninstallation that keeps the definitions. Deleting
/// them stops the cluster's garbage collector for half a minute each time.
const LATE: [&str; 5] = ["Secrets", "Access rules", "Workloads", "Exposure", "Templates"];

fn install() -> Vec<&'static str> {
    [&["install", "--no-wait"], &PARTS[..]].concat()
}

const UNINSTALL: [&str; 3] = ["uninstall", "--delete-sandboxes", "--delete-crds"];

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn expect(output: &Output, code: i32, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installer_on_a_real_api_server() {
    let Some(harness) = Harness::connect().await else {
        return;
    };
    foreign_definitions_are_refused(&harness).await;
    a_foreign_namespace_is_refused(&harness).await;
    without_rights_all_of_them_are_listed(&harness).await;
    the_printed_role_is_enough(&harness).await;
    let reference = a_second_run_writes_nothing(&harness).await;
    a_version_that_does_not_start_gives_way_to_the_former(&harness, &reference).await;
    a_lost_stored_version_stops_the_upgrade(&harness).await;
    killed_early(&harness, &reference).await;
    withdraw(&harness).await;
    for phase in LATE {
        killed_after(&harness, phase, &reference).await;
        withdraw(&harness).await;
    }
    expect(&harness.silica(&UNINSTALL), 0, &[]);
    killed_while_removing(&harness).await;
    a_held_lock_is_respected_until_it_expires(&harness).await;
    two_at_once_end_as_one(&harness, &reference).await;
    assert!(harness.namespace().await.is_none());
}

async fn uninstall(harness: &Harness) {
    let kinds: Vec<ApiResource> = kinds(&harness.objects().await);
    expect(&harness.silica(&UNINSTALL), 0, &[]);
    assert_eq!(harness.leftovers(&kinds).await, Vec::<String>::new());
    assert!(harness.namespace().await.is_none());
}

fn kinds(objects: &BTreeMap<String, DynamicObject>) -> Vec<ApiResource> {
    let mut kinds: Vec<ApiResource> = Vec::new();
    for object in objects.values() {
        let types = object.types.clone().unwrap();
        let gvk = kube::core::GroupVersionKind::try_from(&types).unwrap();
        let kind = ApiResource::from_gvk(&gvk);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.push(ApiResource::erase::<Lease>(&()));
    kinds
}

async fn foreign_definitions_are_refused(harness: &Harness) {
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

async fn a_foreign_namespace_is_refused(harness: &Harness) {
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

async fn without_rights_all_of_them_are_listed(harness: &Harness) {
    let (_, kubeconfig) = harness.service_account("silica-nobody").await;
    expect(
        &harness.silica_as(&kubeconfig, &install()),
        77,
        &[
            "create, delete, get, patch namespaces cluster-wide",
            "customresourcedefinitions.apiextensions.k8s.io cluster-wide",
            "clusterroles.rbac.authorization.k8s.io cluster-wide",
            "deployments.apps in namespace sandbox-system",
            "secrets in namespace sandbox-system",
            "leases.coordination.k8s.io in namespace sandbox-system",
            "sandboxsets.agents.kruise.io in namespace default",
            "sandboxes/status.agents.kruise.io cluster-wide",
            "silica rbac print",
        ],
    );
    assert!(harness.namespace().await.is_none());
    harness.remove_service_account("silica-nobody").await;
}

/// Also proves that the role escapes the API server's guard against escalation.
async fn the_printed_role_is_enough(harness: &Harness) {
    let (account, kubeconfig) = harness.service_account("silica-deployer").await;
    let print = [&["rbac", "print", "--service-account", &account], &PARTS[..]].concat();
    let printed = harness.silica(&print);
    expect(&printed, 0, &[]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    let objects: Vec<DynamicObject> = printed
        .split("---\n")
        .filter(|document| !document.trim().is_empty())
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect();
    let api_of = |object: &DynamicObject| {
        let gvk = kube::core::GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
        harness
            .cluster
            .objects(&ApiResource::from_gvk(&gvk), object.namespace().as_deref())
    };
    for object in &objects {
        api_of(object)
            .patch(
                &object.name_any(),
                &PatchParams::apply("administrator"),
                &Patch::Apply(object),
            )
            .await
            .unwrap();
    }
    // The API server learns of new roles with a short delay.
    let deadline = Instant::now() + Duration::from_secs(20);
    let outcome = loop {
        let outcome = harness.silica_as(&kubeconfig, &install());
        if outcome.status.code() != Some(77) || Instant::now() > deadline {
            break outcome;
        }
    };
    expect(&outcome, 0, &[]);
    expect(&harness.silica_as(&kubeconfig, &["uninstall"]), 0, &[]);
    expect(&harness.silica(&UNINSTALL), 0, &[]);
    for object in &objects {
        let _ = api_of(object)
            .delete(&object.name_any(), &DeleteParams::default())
            .await;
    }
    harness.remove_service_account("silica-deployer").await;
}

/// Returns the state after an installation that nothing disturbed.
async fn a_second_run_writes_nothing(harness: &Harness) -> BTreeMap<String, Value> {
    expect(&harness.silica(&install()), 0, &["--no-wait"]);
    let reference = harness.state().await;
    // The controllers of the cluster act on new objects for a moment.
    let mut before = versions(harness).await;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = versions(harness).await;
        if now == before {
            break;
        }
        before = now;
    }
    let start = Instant::now();
    let again = harness.silica(&[&install()[..], &["-o", "json"]].concat());
    println!("no-op: {} ms", start.elapsed().as_millis());
    expect(&again, 0, &[]);
    let result: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(result["writes"], 0);
    assert_eq!(versions(harness).await, before);
    uninstall(harness).await;
    reference
}

/// No pod ever starts here, so each new version fails; what was there before comes back,
/// and what only the new version had goes.
async fn a_version_that_does_not_start_gives_way_to_the_former(
    harness: &Harness,
    reference: &BTreeMap<String, Value>,
) {
    expect(&harness.silica(&install()), 0, &[]);
    let (keys, waits) = (harness.secrets().await, ["install", "--timeout", "4s"]);
    let newer = [
        "--log-level",
        "3",
        "--expose",
        "ingress",
        "--ingress-class",
        "new",
    ];
    let failed = harness.silica(&[&waits[..], &PARTS, &newer].concat());
    expect(
        &failed,
        124,
        &[
            "Ingress sandbox-system/sandbox-manager",
            "the former one was put back",
            "--no-rollback",
        ],
    );
    assert_same(&harness.state().await, reference, "rolled back");
    assert_eq!(harness.secrets().await, keys);
    let again = harness.silica(&[&install()[..], &["-o", "json"]].concat());
    let result: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(result["writes"], 0, "{}", stderr(&again));

    let kept = harness.silica(&[&waits[..], &PARTS, &newer, &["--no-rollback"]].concat());
    expect(&kept, 124, &["timed out while waiting for Deployment"]);
    assert!(
        harness
            .objects()
            .await
            .contains_key("Ingress sandbox-system/sandbox-manager")
    );
    // What was chosen stays chosen, even though it did not come up.
    let reset = [&install()[..], &["--reset-values"]].concat();
    expect(&harness.silica(&reset), 0, &[]);
    assert_same(&harness.state().await, reference, "installed again");
    withdraw(harness).await;
}

async fn a_lost_stored_version_stops_the_upgrade(harness: &Harness) {
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
    expect(&harness.silica(&UNINSTALL), 0, &[]);
}

async fn versions(harness: &Harness) -> BTreeMap<String, Option<String>> {
    let objects = harness.objects().await;
    objects
        .into_iter()
        .map(|(title, object)| (title, object.resource_version()))
        .collect()
}

/// What was written so far is found by the next run, which is killed one phase
/// later; the last one ends as if nothing had happened.
async fn killed_early(harness: &Harness, reference: &BTreeMap<String, Value>) {
    for phase in EARLY {
        let (came, said) = harness.kill_after(phase, &install());
        assert!(came, "no line of phase {phase:?} in:\n{said}");
    }
    expect(&harness.silica(&install()), 0, &[]);
    assert_same(&harness.state().await, reference, "killed early");
}

async fn killed_after(harness: &Harness, phase: &str, reference: &BTreeMap<String, Value>) {
    let (came, said) = harness.kill_after(phase, &install());
    assert!(came, "no line of phase {phase:?} in:\n{said}");
    let kept = harness.secrets().await;
    expect(&harness.silica(&install()), 0, &[]);
    assert_same(
        &harness.state().await,
        reference,
        &format!("killed after {phase}"),
    );
    let secrets = harness.secrets().await;
    for (name, data) in &kept {
        assert_eq!(
            secrets.get(name),
            Some(data),
            "{name} was made anew after {phase}"
        );
    }
    println!("killed after {phase}: {} secrets kept", kept.len());
}

/// Removes the installation without namespace and definitions.
async fn withdraw(harness: &Harness) {
    expect(&harness.silica(&["uninstall", "--delete-sandboxes"]), 0, &[]);
    assert!(harness.secrets().await.is_empty());
}

async fn killed_while_removing(harness: &Harness) {
    for phase in ["Installation", "Definitions"] {
        expect(&harness.silica(&install()), 0, &[]);
        let kinds = kinds(&harness.objects().await);
        let (came, said) = harness.kill_after(phase, &UNINSTALL);
        assert!(came, "no line of phase {phase:?} in:\n{said}");
        expect(&harness.silica(&UNINSTALL), 0, &[]);
        assert_eq!(harness.leftovers(&kinds).await, Vec::<String>::new());
        assert!(harness.namespace().await.is_none());
    }
}

async fn a_held_lock_is_respected_until_it_expires(harness: &Harness) {
    expect(&harness.silica(&install()), 0, &[]);
    let api: Api<Lease> = Api::namespaced(harness.client(), names::NAMESPACE);
    let lease = |age: i64| -> Lease {
        let renewed = Timestamp::from_second(Timestamp::now().as_second() - age).unwrap();
        let renewed = format!("{renewed:.6}");
        serde_json::from_value(json!({"metadata": {"name": lock::LEASE}, "spec": {
            "holderIdentity": "jane@laptop-7", "leaseDurationSeconds": 60, "renewTime": renewed}}))
        .unwrap()
    };
    api.create(&PostParams::default(), &lease(10)).await.unwrap();
    let held = ["jane@laptop-7", "s ago"];
    expect(
        &harness.silica(&[&install()[..], &["--log-level", "3"]].concat()),
        75,
        &held,
    );
    expect(&harness.silica(&UNINSTALL), 75, &held);
    expect(&harness.silica(&["rotate-certs"]), 75, &held);
    // Nothing to write needs no lock.
    expect(&harness.silica(&install()), 0, &[]);
    let expired = Patch::Merge(json!({"spec": lease(61).spec}));
    api.patch(lock::LEASE, &PatchParams::default(), &expired)
        .await
        .unwrap();
    uninstall(harness).await;
}

async fn two_at_once_end_as_one(harness: &Harness, reference: &BTreeMap<String, Value>) {
    for _ in 0..3 {
        let both = [harness.start(&install()), harness.start(&install())];
        let outputs = both.map(|child| child.wait_with_output().unwrap());
        let codes = outputs.each_ref().map(|output| output.status.code());
        let text = outputs.each_ref().map(stderr).join("\n---\n");
        assert!(codes.contains(&Some(0)), "{text}");
        assert!(
            codes.iter().all(|code| [Some(0), Some(75)].contains(code)),
            "{codes:?}\n{text}"
        );
        assert_same(&harness.state().await, reference, "two at once");
        println!("two at once: {codes:?}");
        let again = harness.silica(&[&install()[..], &["-o", "json"]].concat());
        let result: Value = serde_json::from_slice(&again.stdout).unwrap();
        assert_eq!(result["writes"], 0);
        withdraw(harness).await;
    }
    expect(&harness.silica(&UNINSTALL), 0, &[]);
}

#[track_caller]
fn assert_same(found: &BTreeMap<String, Value>, reference: &BTreeMap<String, Value>, when: &str) {
    for (title, wanted) in reference {
        assert_eq!(found.get(title), Some(wanted), "{title}, {when}");
    }
    assert_eq!(found.len(), reference.len(), "{when}");
}
