//! A namespace that may hold no more: what cannot be made is told before anything is
//! written, and pods that nobody creates end the wait long before its limit.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ResourceQuota, Service};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use silica_api::{crd::SandboxSet, names};

use crate::{expect, fewer, harness::Harness, install, parts, withdraw};

/// How long the cluster may take to notice a quota, or its end.
const PATIENCE: Duration = Duration::from_secs(20);
const QUOTA: &str = "none";

pub(crate) async fn what_would_not_be_created_is_told_before_the_first_write(harness: &Harness) {
    expect(&harness.silica(&install()), 0, &[]);
    forbid(harness, "count/services").await;
    let services: Api<Service> = Api::namespaced(harness.client(), names::NAMESPACE);
    services
        .delete(names::MANAGER, &DeleteParams::default())
        .await
        .unwrap();
    // What the same run would remove stays.
    expect(
        &harness.silica(&fewer()),
        1,
        &[
            "nothing was changed: the server would refuse 1 object",
            "Service sandbox-system/sandbox-manager: ",
            "quota",
        ],
    );
    let sets: Api<SandboxSet> = Api::namespaced(harness.client(), "default");
    assert!(sets.get_opt("base").await.unwrap().is_some());
    allow(harness).await;
    withdraw(harness).await;
}

pub(crate) async fn pods_that_cannot_be_created_end_the_run_early(harness: &Harness) {
    forbid(harness, "pods").await;
    let start = Instant::now();
    let failed = harness.silica(&[&["install", "--timeout", "2m"][..], &parts()].concat());
    expect(
        &failed,
        1,
        &["cannot become ready", &format!("exceeded quota: {QUOTA}")],
    );
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    allow(harness).await;
    withdraw(harness).await;
}

fn quotas(harness: &Harness) -> Api<ResourceQuota> {
    Api::namespaced(harness.client(), names::NAMESPACE)
}

/// Allows none of `resource` in the namespace of the installation.
async fn forbid(harness: &Harness, resource: &str) {
    let quotas = quotas(harness);
    let quota = json!({"metadata": {"name": QUOTA}, "spec": {"hard": {resource: "0"}}});
    quotas
        .create(&PostParams::default(), &serde_json::from_value(quota).unwrap())
        .await
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = quotas.get(QUOTA).await.unwrap().status;
        if status.and_then(|status| status.hard).is_some() {
            return;
        }
        assert!(Instant::now() < deadline, "the quota is not looked at");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Removes the quota, and installs as soon as the API server has noticed.
async fn allow(harness: &Harness) {
    quotas(harness)
        .delete(QUOTA, &DeleteParams::default())
        .await
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut outcome = harness.silica(&install());
    while !outcome.status.success() && Instant::now() < deadline {
        outcome = harness.silica(&install());
    }
    expect(&outcome, 0, &[]);
}
