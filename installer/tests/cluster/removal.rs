//! What an uninstallation leaves: what is somebody else's; and what does not go, by name
//! and with the reason.

use std::{
    collections::BTreeSet,
    process::Output,
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    coordination::v1::Lease,
    core::v1::{ConfigMap, Namespace, Secret, Service},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use silica_api::{labels, names};

use crate::{
    expect,
    harness::{Harness, UNINSTALL},
    install, kinds, withdraw,
};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn says(output: &Output, parts: &[&str]) {
    let text = stdout(output);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

pub(crate) async fn what_somebody_brought_stays_with_its_namespace(harness: &Harness) {
    let named = |name: &str| json!({"metadata": {"name": name}});
    let namespaces: Api<Namespace> = Api::all(harness.client());
    let namespace = serde_json::from_value(named(names::NAMESPACE)).unwrap();
    let params = PostParams::default();
    namespaces.create(&params, &namespace).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(harness.client(), names::NAMESPACE);
    let map = serde_json::from_value(named("precious")).unwrap();
    maps.create(&params, &map).await.unwrap();
    expect(&harness.silica(&[&install()[..], &["--adopt"]].concat()), 0, &[]);
    let secrets: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    let brought = json!({"metadata": {"name": "wildcard"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": "a certificate", "tls.key": "a key"}});
    secrets
        .create(&params, &serde_json::from_value(brought).unwrap())
        .await
        .unwrap();

    let before = maps.get(names::INVENTORY).await.unwrap();
    let stays = [
        "Namespace sandbox-system",
        "ConfigMap precious",
        "Secret wildcard",
    ];
    let dry = harness.silica(&[&UNINSTALL[..], &["--dry-run"]].concat());
    expect(&dry, 0, &[]);
    says(&dry, &stays);
    says(&dry, &["- Deployment sandbox-system/sandbox-manager"]);
    assert_eq!(maps.get(names::INVENTORY).await.unwrap(), before);

    let kinds = kinds(&harness.objects().await);
    let removed = harness.silica(&UNINSTALL);
    expect(&removed, 0, &[]);
    says(&removed, &stays);
    assert!(
        !stdout(&removed).contains("nothing of it is left"),
        "{}",
        stdout(&removed)
    );
    assert_eq!(
        harness.leftovers(&kinds).await,
        ["Namespace sandbox-system"],
        "only the namespace stays"
    );
    maps.get("precious").await.unwrap();
    secrets.get("wildcard").await.unwrap();

    let background = DeleteParams::default();
    maps.delete("precious", &background).await.unwrap();
    secrets.delete("wildcard", &background).await.unwrap();
    let removed = harness.silica(&UNINSTALL);
    expect(&removed, 0, &[]);
    says(&removed, &["nothing of it is left"]);
    assert!(harness.namespace().await.is_none());
}

pub(crate) async fn what_does_not_go_is_named_with_the_reason(harness: &Harness) {
    expect(&harness.silica(&install()), 0, &[]);
    let leases: Api<Lease> = Api::namespaced(harness.client(), names::NAMESPACE);
    let election = json!({"metadata": {"name": names::CONTROLLER_LEASE,
        "labels": labels::component(names::CONTROLLER)}, "spec": {}});
    leases
        .create(&PostParams::default(), &serde_json::from_value(election).unwrap())
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(harness.client(), names::NAMESPACE);
    let finalizers = |list: Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    let params = PatchParams::default();
    maps.patch(
        names::CA_BUNDLE,
        &params,
        &finalizers(json!(["silica.example/hold"])),
    )
    .await
    .unwrap();
    hold_services(harness).await;

    let held = harness.silica(&["uninstall", "--delete-sandboxes", "--timeout", "12s"]);
    expect(
        &held,
        1,
        &[
            "Service sandbox-system/sandbox-manager (",
            "services are held",
            "ConfigMap sandbox-system/sandbox-ca-bundle (",
            "silica.example/hold",
        ],
    );
    // All were tried.
    let left: BTreeSet<String> = harness.leftovers(&kinds_of_all()).await.into_iter().collect();
    for gone in ["Deployment sandbox-manager", "Secret sandbox-ca-key-pair"] {
        assert!(!left.contains(gone), "{left:?}");
    }
    release_services(harness).await;
    maps.patch(names::CA_BUNDLE, &params, &finalizers(Value::Null))
        .await
        .unwrap();

    // An object that no inventory lists is found by its label.
    let strays: Api<ConfigMap> = Api::namespaced(harness.client(), "default");
    let stray = json!({"metadata": {"name": "silica-stray", "labels": labels::product()}});
    strays
        .create(&PostParams::default(), &serde_json::from_value(stray).unwrap())
        .await
        .unwrap();
    let found = harness.silica(&["uninstall", "--delete-sandboxes", "--timeout", "6s"]);
    expect(
        &found,
        1,
        &["ConfigMap default/silica-stray (", "no inventory lists it"],
    );
    strays
        .delete("silica-stray", &DeleteParams::default())
        .await
        .unwrap();
    assert!(leases.get_opt(names::CONTROLLER_LEASE).await.unwrap().is_none());
    expect(&harness.silica(&install()), 0, &[]);
    withdraw(harness).await;
}

fn kinds_of_all() -> Vec<kube::core::ApiResource> {
    use k8s_openapi::api::apps::v1::Deployment;
    vec![
        kube::core::ApiResource::erase::<Deployment>(&()),
        kube::core::ApiResource::erase::<Secret>(&()),
    ]
}

const HOLD: &str = "silica-test-hold";

/// Whether the API server refuses to delete the manager's Service.
async fn are_held(harness: &Harness) -> bool {
    let services: Api<Service> = Api::namespaced(harness.client(), names::NAMESPACE);
    let dry = DeleteParams::default().dry_run();
    services.delete(names::MANAGER, &dry).await.is_err()
}

async fn until(harness: &Harness, held: bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while are_held(harness).await != held {
        assert!(Instant::now() < deadline, "the policy has no effect");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A policy of the cluster refuses to delete Services.
async fn hold_services(harness: &Harness) {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(harness.client());
    let policy = json!({"metadata": {"name": HOLD}, "spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
            "operations": ["DELETE"], "resources": ["services"]}]},
        "validations": [{"expression": "oldObject.metadata.namespace != 'sandbox-system'",
            "message": "services are held"}]}});
    let params = PostParams::default();
    policies
        .create(&params, &serde_json::from_value(policy).unwrap())
        .await
        .unwrap();
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(harness.client());
    let binding = json!({"metadata": {"name": HOLD},
        "spec": {"policyName": HOLD, "validationActions": ["Deny"]}});
    bindings
        .create(&params, &serde_json::from_value(binding).unwrap())
        .await
        .unwrap();
    until(harness, true).await;
}

async fn release_services(harness: &Harness) {
    let background = DeleteParams::default();
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(harness.client());
    bindings.delete(HOLD, &background).await.unwrap();
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(harness.client());
    policies.delete(HOLD, &background).await.unwrap();
    until(harness, false).await;
}
