//! The renewal of an official certificate: a real CA (Pebble), a real name server
//! that takes signed updates (Knot DNS), and the real API server that the
//! kubeconfig in `SILICA_TEST_KUBECONFIG` names.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::{Duration, Instant};

use harness::{Harness, Installed};
use serde_json::json;
use silica_acme::{Account, provider::tsig};
use silica_acme_stage::{KEY, Knot, SECRET, Stage, ZONE};
use silica_certs::{authority::Authority, verify};

const RENEWALS: &str = "silica_certificate_renewals_total";
const FAILURES: &str = "silica_certificate_renewal_failures_total";

/// What is there when the certificate becomes due.
struct Scene {
    harness: Harness,
    stage: Stage,
    account: Account,
    /// The CA of the time before the official certificate, near its end.
    former: Authority,
    old: Installed,
}

impl Scene {
    async fn set() -> Option<Self> {
        let stage = Stage::set(0)?;
        let harness = Harness::connect("official-test").await?;
        let domain = format!("sandbox.{ZONE}");
        let former = Installed::authority_of(&domain, 1);
        harness.write_authority(&former).await;
        harness.write_bundle(former.certificate_pem()).await;
        let elsewhere = Installed::authority_of(&domain, 3650);
        let old = Installed::near_its_end_of(&domain, &elsewhere, 10);
        harness.write_official(&old).await;
        Some(Self {
            account: stage.account().await,
            harness,
            stage,
            former,
            old,
        })
    }

    async fn write_settings(&self, key: tsig::Key) {
        self.harness
            .write_acme(&self.account, &self.stage.settings(key))
            .await;
    }

    fn records(&self) -> Vec<String> {
        self.stage.knot.challenges(&format!("sandbox.{ZONE}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_official_certificate_on_a_real_api_server() {
    let Some(mut scene) = Scene::set().await else {
        return;
    };
    an_order_that_fails_changes_nothing_and_is_not_repeated_at_once(&mut scene).await;
    let new = it_is_ordered_anew_and_nothing_else_is_touched(&scene).await;
    the_former_one_put_back_costs_no_second_order(&scene, &new).await;
    scene.harness.clean_up().await;
}

async fn an_order_that_fails_changes_nothing_and_is_not_repeated_at_once(scene: &mut Scene) {
    let other = SECRET.replace("c2V", "c2W");
    scene
        .write_settings(tsig::Key::read(&other, Some(KEY), None).unwrap())
        .await;
    let before = scene.harness.other_versions().await;
    scene.harness.start("first");
    let harness = &scene.harness;
    harness.wait_metric(FAILURES, 1).await;
    harness.wait_event("CertificateRenewalFailed").await;
    assert_eq!(harness.leaf().await.fingerprint(), scene.old.fingerprint());

    // Whatever else changes: a CA limits how often it is asked.
    for touch in ["once", "twice"] {
        harness
            .patch_leaf(&json!({"metadata": {"labels": {"touched": touch}}}))
            .await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    assert_eq!(harness.metric(FAILURES), 1);
    // No certificate of the CA's in the cluster, which is near its end besides.
    assert_eq!(harness.leaf().await.fingerprint(), scene.old.fingerprint());
    assert_eq!(harness.other_versions().await, before);
    assert_eq!(scene.records(), Vec::<String>::new());
}

async fn it_is_ordered_anew_and_nothing_else_is_touched(scene: &Scene) -> Installed {
    let (harness, old) = (&scene.harness, &scene.old);
    let start = Instant::now();
    // Somebody repairs the settings: that is worth a trial at once.
    scene.write_settings(Knot::key()).await;
    let before = harness.other_versions().await;
    let new = harness.wait_other_leaf(old).await;
    println!(
        "ordered and served {} ms after the settings were repaired",
        start.elapsed().as_millis()
    );

    let sorted = |one: &Installed| {
        let mut names = one.names();
        names.sort();
        names
    };
    assert_eq!(sorted(&new), sorted(old));
    assert_ne!(new.key, old.key);
    verify::key_matches(&new.chain, &new.key).unwrap();
    assert!(new.chain.matches("BEGIN").count() > 1, "no issuer came along");
    assert_eq!(
        harness.ordered_fingerprint().await.as_deref(),
        Some(&*new.fingerprint())
    );
    harness.wait_event("CertificateRenewed").await;
    assert_eq!(harness.metric(RENEWALS), 1);
    assert_eq!(harness.metric(FAILURES), 1);
    assert_eq!(scene.records(), Vec::<String>::new());

    // It is not due now, and its CA is none that anything here replaces.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(harness.leaf().await.fingerprint(), new.fingerprint());
    assert_eq!(harness.other_versions().await, before);
    assert!(harness.find_next().await.is_none());
    let ends = new.end() + Installed::end_of(&scene.former);
    harness
        .wait_metric("silica_certificate_not_after_seconds", ends)
        .await;
    new
}

async fn the_former_one_put_back_costs_no_second_order(scene: &Scene, new: &Installed) {
    let harness = &scene.harness;
    harness.write_official(&scene.old).await;
    let again = harness.wait_other_leaf(&scene.old).await;
    assert_eq!(again.fingerprint(), new.fingerprint());
    assert_eq!(again.key, new.key);
    harness.wait_metric(RENEWALS, 2).await;
}
