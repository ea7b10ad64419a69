//! Rights that are missing are listed, and the printed role is enough.

use std::time::{Duration, Instant};

use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::ApiResource,
};

use crate::{
    expect,
    harness::{Harness, UNINSTALL},
    install, parts,
};

pub(crate) async fn without_rights_all_of_them_are_listed(harness: &Harness) {
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
pub(crate) async fn the_printed_role_is_enough(harness: &Harness) {
    let (account, kubeconfig) = harness.service_account("silica-deployer").await;
    let print = [&["rbac", "print", "--service-account", &account], &parts()[..]].concat();
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
