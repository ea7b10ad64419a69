//! What the servers serve: the new certificate at once, and the former one as long as
//! there is no good one.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use silica_api::names;

use crate::{chain, fingerprint, fleet::Fleet, harness::Harness, held, outage::Outage, rotate};

pub(crate) async fn a_new_certificate_is_served_within_a_second(harness: &Harness, fleet: &Fleet) {
    let output = rotate(harness, &[]);
    let fingerprint = output["fingerprint"].as_str().unwrap().to_owned();
    let took = output["servedAfterMilliseconds"].as_u64().unwrap();
    println!("from the write to every server: {took} ms");
    assert!(took < 1000, "{took} ms");
    assert!(fleet.wait_served(&fingerprint).await < Duration::from_secs(1));
}

async fn patch_leaf(harness: &Harness, patch: Value) {
    let api: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    api.patch(names::TLS_SECRET, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

pub(crate) async fn a_damaged_secret_keeps_the_certificate(harness: &Harness, fleet: &Fleet) {
    let (served, good) = (fingerprint(harness).await, chain(harness).await);
    let entry = |text: &str| json!({"data": {"tls.crt": k8s_openapi::ByteString(text.as_bytes().to_vec())}});
    patch_leaf(harness, entry("not a certificate")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for port in fleet.ports() {
        assert_eq!(held::fingerprint(port).await.as_deref(), Some(&*served));
    }
    patch_leaf(harness, entry(&good)).await;
    let fingerprint = rotate(harness, &[])["fingerprint"].clone();
    fleet.wait_served(fingerprint.as_str().unwrap()).await;
}

/// One server is cut off from the API server while the certificate changes.
pub(crate) async fn an_outage_of_the_api_server_is_caught_up(
    harness: &Harness,
    fleet: &Fleet,
    outage: &Outage,
) {
    let before = fingerprint(harness).await;
    outage.set_up(false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    // It cannot know, so the command takes the new certificate back.
    let cut = ["rotate-certs", "--timeout", "2s"];
    let output = harness.silica(&cut);
    assert_eq!(output.status.code(), Some(124), "{output:?}");
    assert_eq!(fingerprint(harness).await, before);
    let cut_off = fleet.servers[1].https;
    assert_eq!(held::fingerprint(cut_off).await.as_deref(), Some(&*before));
    let start = Instant::now();
    outage.set_up(true);
    let new = rotate(harness, &[])["fingerprint"].clone();
    fleet.wait_served(new.as_str().unwrap()).await;
    println!("caught up {} ms after the outage", start.elapsed().as_millis());
}
