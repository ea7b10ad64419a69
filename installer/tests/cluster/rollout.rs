//! From one version to the next: what only the former has stays until the new one
//! serves, a killed run takes nothing away, and what was proven is not proven again.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::Value;
use silica_api::names;

use crate::{
    assert_same, expect, fewer,
    harness::Harness,
    install, parts,
    stage::{Stage, served},
    stderr, withdraw,
};

/// Another way in: the Service of the former one is in the way of nothing, until it is pruned.
const NEWER: [&str; 4] = ["--expose", "ingress", "--ingress-class", "new"];
const OLD: &str = "Service sandbox-system/sandbox-manager-direct";
const NEW: &str = "Ingress sandbox-system/sandbox-manager";

fn newer(first: &[&'static str]) -> Vec<&'static str> {
    [&["install"], first, &parts()[..], &NEWER].concat()
}

async fn map(harness: &Harness, name: &str) -> Option<BTreeMap<String, String>> {
    let api: Api<ConfigMap> = Api::namespaced(harness.client(), names::NAMESPACE);
    Some(api.get_opt(name).await.unwrap()?.data.unwrap_or_default())
}

/// State of the installation; whether both ways in are there, and something to go back to.
async fn look(harness: &Harness) -> (String, [bool; 3]) {
    let state = map(harness, names::INVENTORY).await.unwrap()["state"].clone();
    let objects = harness.objects().await;
    let former = map(harness, names::FORMER).await;
    (
        state,
        [
            objects.contains_key(OLD),
            objects.contains_key(NEW),
            former.is_some(),
        ],
    )
}

pub(crate) async fn killed_in_the_rollout(harness: &Harness, reference: &BTreeMap<String, Value>) {
    let started = ("rolling-out".to_owned(), [true, true, true]);
    // The new way in is one more, so nothing goes in the end.
    let done = ("complete".to_owned(), [true, true, false]);
    expect(&harness.silica(&install()), 0, &[]);
    let keys = harness.secrets().await;

    // It does not come up in the next run either: the former one is put back.
    let (came, said) = harness.kill_in("Rollout", &newer(&[]));
    assert!(came, "no line of the rollout in:\n{said}");
    assert_eq!(look(harness).await, started);
    let kept = map(harness, names::FORMER).await.unwrap();
    assert!(
        !kept["applied"].contains("\"kind\":\"Secret\""),
        "{}",
        kept["applied"]
    );
    let failed = harness.silica(&newer(&["--timeout", "4s"]));
    expect(&failed, 124, &["the former one was put back"]);
    assert_same(&harness.state().await, reference, "killed, then rolled back");
    assert!(map(harness, names::FORMER).await.is_none());
    assert_eq!(harness.secrets().await, keys);

    // Killed while objects are written, and with other settings the next time.
    let (came, said) = harness.kill_after("Exposure", &newer(&["--log-level", "3"]));
    assert!(came, "no line of the exposure in:\n{said}");
    // It may have come a step further before it died.
    assert_eq!(look(harness).await.1, [true, true, true]);
    let failed = harness.silica(&newer(&["--timeout", "4s", "--log-level", "4"]));
    expect(&failed, 124, &["the former one was put back"]);
    assert_same(
        &harness.state().await,
        reference,
        "killed early, then rolled back",
    );

    // It comes up in the next run.
    let (came, said) = harness.kill_in("Rollout", &newer(&[]));
    assert!(came, "no line of the rollout in:\n{said}");
    assert_eq!(look(harness).await, started);
    expect(&served(harness, &newer(&["--skip-verify"])).await, 0, &[]);
    assert_eq!(look(harness).await, done);
    assert_eq!(harness.secrets().await, keys);
    withdraw(harness).await;
}

/// Nobody knows whether the new version serves, so nothing of the former goes.
pub(crate) async fn without_waiting_nothing_is_removed(
    harness: &Harness,
    reference: &BTreeMap<String, Value>,
) {
    const SET: &str = "SandboxSet default/base";
    expect(&harness.silica(&install()), 0, &[]);
    for _ in 0..2 {
        expect(&harness.silica(&fewer()), 0, &["kept", SET]);
        let state = map(harness, names::INVENTORY).await.unwrap()["state"].clone();
        assert_eq!(state, "rolling-out");
        assert!(harness.objects().await.contains_key(SET));
    }
    let again = harness.silica(&[&fewer()[..], &["-o", "json"]].concat());
    assert_eq!(json(&again)["writes"], 0, "{}", stderr(&again));
    expect(&harness.silica(&install()), 0, &[]);
    assert_same(&harness.state().await, reference, "installed again");
    withdraw(harness).await;
}

fn json(output: &std::process::Output) -> Value {
    expect(output, 0, &[]);
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) async fn what_was_proven_is_not_proven_again(harness: &Harness) {
    expect(&harness.silica(&install()), 0, &[]);
    let stage = Stage::open(harness).await;
    let waits = [&["install", "-o", "json"], &parts()[..]].concat();
    let first = json(&served(harness, &waits).await);
    assert_eq!(stage.sandboxes(), 1);
    assert!(first["verified"]["template"].is_string(), "{first}");
    let recorded = map(harness, names::INVENTORY).await.unwrap();
    assert!(
        recorded["verified"].contains(env!("CARGO_PKG_VERSION")),
        "{recorded:?}"
    );

    let second = json(&served(harness, &waits).await);
    assert_eq!((stage.sandboxes(), &second["writes"]), (1, &Value::from(0)));
    assert_eq!(second["verified"], first["verified"]);
    assert_eq!(map(harness, names::INVENTORY).await.unwrap(), recorded);

    // A change has to prove itself; a proof that failed is repeated.
    let louder = [&waits[..], &["--log-level", "3"]].concat();
    stage.refuse(true);
    expect(&served(harness, &louder).await, 1, &["the pool is empty"]);
    let recorded = map(harness, names::INVENTORY).await.unwrap();
    assert_eq!(recorded["state"], "complete");
    assert!(recorded["verified"].contains("the pool is empty"), "{recorded:?}");
    stage.refuse(false);
    let third = json(&served(harness, &louder).await);
    assert_eq!(stage.sandboxes(), 2);
    assert!(third["verified"]["failure"].is_null(), "{third}");
    stage.remove(harness).await;
    withdraw(harness).await;
}
