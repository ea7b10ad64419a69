//! Runs on an installation that stands: one that changes nothing, and one that fails.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use kube::ResourceExt;
use serde_json::Value;

use crate::{assert_same, expect, harness::Harness, install, parts, stderr, uninstall, withdraw};

/// Returns the state after an installation that nothing disturbed.
pub(crate) async fn a_second_run_writes_nothing(harness: &Harness) -> BTreeMap<String, Value> {
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

async fn versions(harness: &Harness) -> BTreeMap<String, Option<String>> {
    let objects = harness.objects().await;
    objects
        .into_iter()
        .map(|(title, object)| (title, object.resource_version()))
        .collect()
}

/// No pod ever starts here, so each new version fails; what was there before comes back,
/// and what only the new version had goes.
pub(crate) async fn a_version_that_does_not_start_gives_way_to_the_former(
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
    let failed = harness.silica(&[&waits[..], &parts(), &newer].concat());
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

    let kept = harness.silica(&[&waits[..], &parts(), &newer, &["--no-rollback"]].concat());
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
