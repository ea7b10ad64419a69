//! Rights that are missing are listed, and the printed role is enough.

use std::{
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use kube::{
    Api, ResourceExt,
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
    // The administrator in the name of somebody who has no rights, and of one who has.
    let nobody = [&install()[..], &["--as", "jane", "--as-group", "nothing"]].concat();
    expect(&harness.silica(&nobody), 77, &["silica rbac print"]);
    let member = [
        &["check"],
        &parts()[..],
        &["--as", "jane", "--as-group", "system:masters"],
    ]
    .concat();
    expect(&harness.silica(&member), 0, &[]);
}

/// Also proves that the role escapes the API server's guard against escalation.
pub(crate) async fn the_printed_role_is_enough(harness: &Harness) {
    let (account, kubeconfig) = harness.service_account("silica-deployer").await;
    let print = ["rbac", "print", "--service-account", &account];
    let mut objects = grant(harness, &[&print[..], &parts()].concat()).await;
    expect(&with_new_rights(harness, &kubeconfig).await, 0, &[]);

    // What an earlier installation has beyond the plan has to be removed, or put back.
    let other = ["--expose", "ingress", "--ingress-class", "new"];
    expect(&harness.silica(&[&install()[..], &other].concat()), 0, &[]);
    let lacking = harness.silica_as(&kubeconfig, &install());
    let ingress = "create, delete, patch ingresses.networking.k8s.io in namespace sandbox-system";
    expect(&lacking, 77, &[ingress, "--from-cluster"]);
    let print = [&print[..], &parts(), &["--from-cluster"]].concat();
    objects.extend(grant(harness, &print).await);
    expect(&with_new_rights(harness, &kubeconfig).await, 0, &[]);

    let removed = harness.silica_as(&kubeconfig, &["uninstall"]);
    // Who may not look everywhere is not told that nothing is left.
    expect(&removed, 0, &["not proven for what you may not list"]);
    expect(&harness.silica(&UNINSTALL), 0, &[]);
    for object in &objects {
        let _ = api_of(harness, object)
            .delete(&object.name_any(), &DeleteParams::default())
            .await;
    }
    harness.remove_service_account("silica-deployer").await;
    // The role was printed with the namespace that it is for.
    harness.remove_namespace().await;
}

fn api_of(harness: &Harness, object: &DynamicObject) -> Api<DynamicObject> {
    let gvk = kube::core::GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
    harness
        .cluster
        .objects(&ApiResource::from_gvk(&gvk), object.namespace().as_deref())
}

/// Applies what is printed, as an administrator would.
async fn grant(harness: &Harness, print: &[&str]) -> Vec<DynamicObject> {
    let printed = harness.silica(print);
    expect(&printed, 0, &[]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    let objects: Vec<DynamicObject> = printed
        .split("---\n")
        .filter(|document| !document.trim().is_empty())
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect();
    for object in &objects {
        api_of(harness, object)
            .patch(
                &object.name_any(),
                &PatchParams::apply("administrator"),
                &Patch::Apply(object),
            )
            .await
            .unwrap();
    }
    objects
}

/// The API server learns of new roles with a short delay.
async fn with_new_rights(harness: &Harness, kubeconfig: &Path) -> Output {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let outcome = harness.silica_as(kubeconfig, &install());
        if outcome.status.code() != Some(77) || Instant::now() > deadline {
            return outcome;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
