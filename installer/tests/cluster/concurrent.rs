//! Two commands at once: whoever has the lock goes on, the other is told who has it.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use silica::cluster::lock;
use silica_api::names;

use crate::{
    assert_same, expect,
    harness::{Harness, UNINSTALL},
    install, stderr, uninstall, withdraw,
};

pub(crate) async fn a_held_lock_is_respected_until_it_expires(harness: &Harness) {
    expect(&harness.silica(&install()), 0, &[]);
    let api: Api<Lease> = Api::namespaced(harness.client(), names::NAMESPACE);
    let lease = |age: i64| -> Lease {
        let renewed = Timestamp::from_second(Timestamp::now().as_second() - age).unwrap();
        let renewed = format!("{renewed:.6}");
        serde_json::from_value(json!({"metadata": {"name": lock::LEASE}, "spec": {
            "holderIdentity": "jane@laptop-7", "leaseDurationSeconds": 60, "renewTime": renewed}}))
        .unwrap()
    };
    api.create(&PostParams::default(), &lease(10)).await.unwrap();
    let held = ["jane@laptop-7", "s ago"];
    expect(
        &harness.silica(&[&install()[..], &["--log-level", "3"]].concat()),
        75,
        &held,
    );
    expect(&harness.silica(&UNINSTALL), 75, &held);
    expect(&harness.silica(&["rotate-certs"]), 75, &held);
    // Nothing to write needs no lock.
    expect(&harness.silica(&install()), 0, &[]);
    // Its holder's clock is an hour behind, and it renews all the same.
    let renew = async |age: i64, seconds: i32| {
        let mut spec = lease(age).spec.unwrap();
        spec.lease_duration_seconds = Some(seconds);
        let patch = Patch::Merge(json!({"spec": spec}));
        let params = PatchParams::default();
        api.patch(lock::LEASE, &params, &patch).await.unwrap();
    };
    renew(3600, 4).await;
    let mut child = harness.start(&UNINSTALL);
    while child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        renew(3600, 4).await;
    }
    expect(&child.wait_with_output().unwrap(), 75, &["jane@laptop-7"]);
    // It has ended: nothing is renewed any more.
    renew(3600, 2).await;
    uninstall(harness).await;
}

pub(crate) async fn two_at_once_end_as_one(harness: &Harness, reference: &BTreeMap<String, Value>) {
    for _ in 0..3 {
        let both = [harness.start(&install()), harness.start(&install())];
        let outputs = both.map(|child| child.wait_with_output().unwrap());
        let codes = outputs.each_ref().map(|output| output.status.code());
        let text = outputs.each_ref().map(stderr).join("\n---\n");
        assert!(codes.contains(&Some(0)), "{text}");
        assert!(
            codes.iter().all(|code| [Some(0), Some(75)].contains(code)),
            "{codes:?}\n{text}"
        );
        assert_same(&harness.state().await, reference, "two at once");
        println!("two at once: {codes:?}");
        let again = harness.silica(&[&install()[..], &["-o", "json"]].concat());
        let result: Value = serde_json::from_slice(&again.stdout).unwrap();
        assert_eq!(result["writes"], 0);
        withdraw(harness).await;
    }
    expect(&harness.silica(&UNINSTALL), 0, &[]);
}
