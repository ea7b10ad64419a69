//! The served certificate and its CA, renewed by the controller that leads.

use std::time::{Duration, Instant};

use serde_json::json;
use silica_api::names;

use crate::harness::{Harness, Installed};

pub(super) async fn a_certificate_near_its_end_is_renewed(harness: &Harness) {
    let authority = Installed::authority();
    harness.write_bundle("").await;
    harness.write_authority(&authority).await;
    let old = Installed::near_its_end(&authority, 10);
    let start = Instant::now();
    harness.write_leaf(&old, true).await;
    let new = harness.wait_other_leaf(&old).await;
    println!(
        "renewed {} ms after the Secret was written",
        start.elapsed().as_millis()
    );
    assert!(start.elapsed() < Duration::from_secs(5));

    assert_eq!(new.names(), old.names());
    assert_ne!(new.key, old.key);
    new.verify(authority.certificate_pem());
    assert_eq!(new.authority, authority.certificate_pem());
    harness.wait_bundle(&[&authority]).await;
    assert_eq!(harness.metric("silica_certificate_renewals_total"), 1);
    assert_eq!(harness.metric("silica_certificate_renewal_failures_total"), 0);
    harness.wait_event("CertificateRenewed").await;

    // Fresh now: whatever else happens to it, it is not renewed again.
    let labels = json!({"metadata": {"labels": {"touched": "yes"}}});
    harness.patch_leaf(&labels).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(harness.leaf().await.fingerprint(), new.fingerprint());
    let ends = harness.metric("silica_certificate_not_after_seconds");
    assert_eq!(ends, new.end() + Installed::end_of(&authority));
}

pub(super) async fn a_certificate_follows_its_ca_and_trust_comes_first(harness: &Harness) {
    let former = harness.leaf().await;
    let successor = Installed::authority();
    let start = Instant::now();
    harness.write_authority(&successor).await;
    let new = harness.wait_other_leaf(&former).await;
    println!(
        "re-issued {} ms after the CA changed",
        start.elapsed().as_millis()
    );
    assert_eq!(new.names(), former.names());
    new.verify(successor.certificate_pem());
    // The former CA stays for those that still meet its certificate.
    let bundle = harness.bundle().await;
    assert!(bundle.contains(&former.authority) && bundle.contains(successor.certificate_pem()));
    assert_eq!(harness.metric("silica_certificate_renewals_total"), 2);
}

pub(super) async fn renewals_are_kept_apart_when_something_else_writes(harness: &Harness) {
    let old = Installed::near_its_end(&harness.authority().await, 10);
    let start = Instant::now();
    for _ in 0..2 {
        harness.write_leaf(&old, true).await;
        harness.wait_other_leaf(&old).await;
    }
    // The second of them waited, after the two renewals before.
    println!("renewed twice more in {} ms", start.elapsed().as_millis());
    assert!(start.elapsed() > Duration::from_secs(5));
    harness.wait_event("CertificateContended").await;
    assert_eq!(harness.metric("silica_certificate_renewals_total"), 4);
}

pub(super) async fn a_foreign_certificate_is_left_alone(harness: &Harness) {
    let current = harness.authority().await;
    let unknown = Installed::authority();
    let cases = [
        (Installed::near_its_end(&current, 8), false),
        (Installed::near_its_end(&unknown, 9), true),
    ];
    for (foreign, is_labelled) in cases {
        harness.write_leaf(&foreign, is_labelled).await;
        // The metric follows when the controller has looked at it.
        let ends = foreign.end() + Installed::end_of(&current);
        harness
            .wait_metric("silica_certificate_not_after_seconds", ends)
            .await;
        harness.wait_event("CertificateEnding").await;
        assert_eq!(harness.leaf().await.fingerprint(), foreign.fingerprint());
    }
    assert_eq!(harness.metric("silica_certificate_renewals_total"), 4);
}

/// Prepare, spread, switch, soak and retire, without anybody's word; clients with
/// the bundle of any moment before the end can follow.
pub(super) async fn a_ca_near_its_end_is_followed_by_another_one(harness: &Harness) {
    let former = Installed::authority_for(30);
    harness.write_bundle(former.certificate_pem()).await;
    // Cut short by the end of its CA.
    let leaf = Installed::near_its_end(&former, 60 * 24 * 90);
    harness.write_leaf(&leaf, true).await;
    let start = Instant::now();
    harness.write_authority(&former).await;

    let behind_cross = harness.wait_other_leaf(&leaf).await;
    let both = harness.bundle().await;
    println!("switched after {} ms", start.elapsed().as_millis());
    for roots in [former.certificate_pem(), &behind_cross.authority, &both] {
        behind_cross.verify(roots);
    }
    harness.wait_metric("silica_ca_rotation_phase", 3).await;
    harness.wait_metric("silica_ca_rotations_total", 1).await;
    println!("replaced after {} ms", start.elapsed().as_millis());
    let current = harness.authority().await;
    assert_eq!(current.certificate_pem(), behind_cross.authority);
    harness.wait_bundle(&[&current]).await;
    let alone = harness.leaf().await;
    alone.verify(&both);
    assert_eq!(
        alone.chain.matches("BEGIN").count(),
        1,
        "the cross certificate is gone"
    );
    assert!(harness.find_next().await.is_none());
    harness
        .wait_event_about(names::CA_SECRET, "CertificateAuthorityReplaced")
        .await;

    // A CA with ten years left is not followed by a third one.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        harness.authority().await.certificate_pem(),
        current.certificate_pem()
    );
    assert_eq!(harness.metric("silica_ca_rotations_total"), 1);
    assert_eq!(harness.metric("silica_ca_rotation_failures_total"), 0);
}
