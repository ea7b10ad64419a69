//! Between the write and the moment when every server serves it: the cluster is lost, its
//! answer is, somebody presses Ctrl-C, a pod goes away.

use std::{
    io::Read as _,
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use silica_api::{labels, names, ports};

use crate::{
    fingerprint,
    fleet::{self, Fleet},
    harness::Harness,
    outage::Outage,
};

/// What a run said on both channels, with how it ended.
fn end(mut child: Child) -> (ExitStatus, String, String) {
    let (mut out, mut said) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), out, said)
}

/// Starts a rotation and waits for its write. Returns the certificate before it, too.
async fn begun(harness: &Harness, kubeconfig: &std::path::Path, limit: &str) -> (Child, String) {
    let before = fingerprint(harness).await;
    let args = ["rotate-certs", "--timeout", limit, "-o", "json"];
    let child = harness.start_as(kubeconfig, &args);
    fleet::eventually("the certificate is written", async || {
        fingerprint(harness).await != before
    })
    .await;
    (child, before)
}

/// One server cannot serve it, and then the command cannot take it back: it says what may
/// be in place. The next run puts everything in order.
pub(crate) async fn a_lost_cluster_is_told_with_what_is_left(
    harness: &Harness,
    fleet: &Fleet,
    outage: &Outage,
    cli: &Outage,
) {
    outage.set_up(false);
    let (child, before) = begun(harness, &cli.kubeconfig, "3s").await;
    cli.set_up(false);
    let new = fingerprint(harness).await;
    let (status, _, said) = end(child);
    cli.set_up(true);
    outage.set_up(true);
    assert_eq!(status.code(), Some(124), "{said}");
    for part in [
        &before,
        &new,
        "could not be put back",
        "silica certs inspect --cluster",
        "run the same command again",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    let again = crate::rotate(harness, &[]);
    fleet.wait_served(again["fingerprint"].as_str().unwrap()).await;
}

pub(crate) async fn ctrl_c_puts_the_former_certificate_back(
    harness: &Harness,
    fleet: &Fleet,
    outage: &Outage,
) {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        outage.set_up(false);
        let (child, before) = begun(harness, harness.kubeconfig(), "30s").await;
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let (status, _, said) = end(child);
        outage.set_up(true);
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(said.contains("the former certificate was put back"), "{said}");
        assert_eq!(fingerprint(harness).await, before);
        fleet.wait_served(&before).await;
    }
}

/// The API server has written it, and the command does not hear of that.
pub(crate) async fn a_write_without_an_answer_is_taken_back(harness: &Harness, fleet: &Fleet, cli: &Outage) {
    let before = fingerprint(harness).await;
    cli.lose_answer();
    let (child, _) = begun(harness, &cli.kubeconfig, "30s").await;
    let (status, _, said) = end(child);
    assert_eq!(status.code(), Some(69), "{said}");
    assert!(said.contains("the former certificate was put back"), "{said}");
    assert_eq!(fingerprint(harness).await, before);
    fleet.wait_served(&before).await;
}

/// The server of a pod is cut off, and never serves the new certificate; then its pod goes.
pub(crate) async fn a_pod_that_goes_away_is_not_waited_for(
    harness: &Harness,
    fleet: &mut Fleet,
    outage: &Outage,
) {
    fleet.start_server("server-c", Some(&outage.kubeconfig));
    fleet.wait_ready().await;
    let port = fleet.servers.last().unwrap().https;
    let pods: Api<Pod> = Api::namespaced(harness.client(), names::NAMESPACE);
    let former = allow_host_ports(harness, "privileged").await;
    create_pod(harness, &pods, port).await;
    allow_host_ports(harness, &former).await;

    outage.set_up(false);
    let (child, before) = begun(harness, harness.kubeconfig(), "30s").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    pods.delete(POD, &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    let (status, out, said) = end(child);
    outage.set_up(true);
    assert!(status.success(), "{said}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let new = told["fingerprint"].as_str().unwrap();
    assert_ne!(new, before);
    assert_eq!(told["verified"], true);
    let titles = |key: &str| -> Vec<String> { serde_json::from_value(told[key].clone()).unwrap() };
    assert_eq!(titles("routes").len(), 2, "{told}");
    // No kubelet forwards to this pod, which is no reason to wait, and is told.
    let forwarded = format!("pod {POD} through the API server");
    assert!(titles("skipped").contains(&forwarded), "{told}");
    assert!(said.contains(&forwarded), "{said}");
    fleet.wait_served(new).await;
}

const POD: &str = "played";

/// The level of pod security that holds for new pods; returns the former one.
async fn allow_host_ports(harness: &Harness, level: &str) -> String {
    const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
    let api: Api<Namespace> = Api::all(harness.client());
    let former = api.get(names::NAMESPACE).await.unwrap().labels()[ENFORCE].clone();
    let patch = json!({"metadata": {"labels": {ENFORCE: level}}});
    api.patch(names::NAMESPACE, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    former
}

/// A ready pod of the manager whose port of its node is a server's.
async fn create_pod(harness: &Harness, pods: &Api<Pod>, port: u16) {
    let maps: Api<ConfigMap> = Api::namespaced(harness.client(), names::NAMESPACE);
    let owner = maps.get(names::CA_BUNDLE).await.unwrap();
    let pod = serde_json::from_value(json!({
        "metadata": {
            "name": POD,
            "labels": {labels::APP_NAME: names::MANAGER},
            // Or the Deployment would take it for one of its own.
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": names::CA_BUNDLE,
                "uid": owner.uid(), "controller": true}],
        },
        "spec": {"schedulerName": "played-by-the-test", "containers": [{"name": "manager",
            "image": "silica.invalid/none:1", "ports": [{"name": ports::MANAGER_HTTPS.name,
                "containerPort": ports::MANAGER_HTTPS.number, "hostPort": port}]}]},
    }))
    .unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let status = json!({"status": {"phase": "Running", "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}], "conditions": [{"type": "Ready", "status": "True"}]}});
    pods.patch_status(POD, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}
