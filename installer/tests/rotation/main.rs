//! The replacement of certificates and of the CA on a real API server, with
//! servers and controllers as processes, under load: clients of several TLS
//! stacks that never stop asking, and connections that are held all the time.
//!
//! Needs the cluster of `SILICA_TEST_KUBECONFIG` (without an installation, with a
//! node for pods that never start, as the preflight asks for one), and `SILICA_MANAGER`, an executable `sandbox-manager`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

mod controller;
mod fleet;
#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod harness;
mod held;
mod load;
mod lost;
mod outage;
mod phases;
mod serving;
mod under_load;

use std::{path::PathBuf, process::Output};

use controller::the_controller_goes_on_with_what_it_began;
use fleet::Fleet;
use harness::{Harness, NO_IMAGES, UNINSTALL};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use lost::{
    a_lost_cluster_is_told_with_what_is_left, a_pod_that_goes_away_is_not_waited_for,
    a_write_without_an_answer_is_taken_back, ctrl_c_puts_the_former_certificate_back,
};
use outage::Outage;
use phases::{
    an_emergency_distrusts_at_once, an_interrupted_retirement_is_finished_and_nothing_begun,
    every_phase_can_be_undone, killed_at_any_moment_it_goes_on, the_lock_is_taken_by_writers_only,
    without_a_step_it_stops_before_retire,
};
use serde_json::Value;
use serving::{
    a_damaged_secret_keeps_the_certificate, a_new_certificate_is_served_within_a_second,
    an_outage_of_the_api_server_is_caught_up,
};
use silica_api::names;
use silica_certs::inspect;
use under_load::{frozen_clients_go_on, under_load};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_fails_nobody() {
    let Some(program) = manager() else { return };
    let Some(harness) = Harness::connect().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let stacks = load::stacks(folder.path());
    expect(&harness, &install(), 0, &[]);
    let outage = Outage::new(&harness, folder.path(), "server-b.kubeconfig").await;
    let cli = Outage::new(&harness, folder.path(), "cli.kubeconfig").await;
    let third = Outage::new(&harness, folder.path(), "server-c.kubeconfig").await;
    let mut fleet = Fleet::new(&harness, program, folder.path()).await;
    fleet.start_server("server-a", None);
    fleet.start_server("server-b", Some(&outage.kubeconfig));
    fleet.start_controller("controller-a", &[]);
    fleet.start_controller("controller-b", &[]);
    fleet.wait_ready().await;
    fleet.expose(&harness).await;

    under_load(&harness, &fleet, &stacks, folder.path()).await;
    frozen_clients_go_on(&harness, &fleet, &stacks, folder.path()).await;
    a_new_certificate_is_served_within_a_second(&harness, &fleet).await;
    a_damaged_secret_keeps_the_certificate(&harness, &fleet).await;
    an_outage_of_the_api_server_is_caught_up(&harness, &fleet, &outage).await;
    a_lost_cluster_is_told_with_what_is_left(&harness, &fleet, &outage, &cli).await;
    ctrl_c_puts_the_former_certificate_back(&harness, &fleet, &outage).await;
    a_write_without_an_answer_is_taken_back(&harness, &fleet, &cli).await;
    a_pod_that_goes_away_is_not_waited_for(&harness, &mut fleet, &third).await;
    every_phase_can_be_undone(&harness, &fleet).await;
    killed_at_any_moment_it_goes_on(&harness, &fleet).await;
    without_a_step_it_stops_before_retire(&harness, &fleet).await;
    an_interrupted_retirement_is_finished_and_nothing_begun(&harness, &fleet).await;
    an_emergency_distrusts_at_once(&harness, &fleet).await;
    the_lock_is_taken_by_writers_only(&harness).await;
    the_controller_goes_on_with_what_it_began(&harness, &mut fleet).await;

    held::remove(&harness).await;
    fleet.remove(&harness).await;
    expect(&harness, &UNINSTALL, 0, &[]);
}

fn install() -> Vec<&'static str> {
    let domain = ["install", "--no-wait", "--domain", fleet::DOMAIN];
    [&domain, &NO_IMAGES[..]].concat()
}

fn manager() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("SILICA_MANAGER") else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "SILICA_MANAGER must be set on CI"
        );
        println!("not run: SILICA_MANAGER does not name an executable");
        return None;
    };
    Some(path.into())
}

#[track_caller]
fn expect(harness: &Harness, args: &[&str], code: i32, parts: &[&str]) -> Output {
    let output = harness.silica(args);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "silica {args:?}\n{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    output
}

#[track_caller]
fn rotate(harness: &Harness, args: &[&str]) -> Value {
    let output = expect(
        harness,
        &[&["rotate-certs"], args, &["-o", "json"]].concat(),
        0,
        &[],
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn phase(harness: &Harness) -> Value {
    rotate(harness, &["status"])["phase"].clone()
}

async fn bundle(harness: &Harness) -> String {
    let api: Api<ConfigMap> = Api::namespaced(harness.client(), names::NAMESPACE);
    let map = api.get(names::CA_BUNDLE).await.unwrap();
    map.data.unwrap().remove(names::CA_BUNDLE_KEY).unwrap()
}

async fn chain(harness: &Harness) -> String {
    let api: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    let secret = api.get(names::TLS_SECRET).await.unwrap();
    String::from_utf8(secret.data.unwrap().remove("tls.crt").unwrap().0).unwrap()
}

async fn fingerprint(harness: &Harness) -> String {
    inspect::parse_chain(&chain(harness).await)
        .unwrap()
        .remove(0)
        .fingerprint
}

/// Every server serves what the Secret holds, and a client with these roots
/// accepts it, or does not.
async fn verify_served(harness: &Harness, fleet: &Fleet, roots: &str, is_accepted: bool) {
    let fingerprint = fingerprint(harness).await;
    fleet.wait_served(&fingerprint).await;
    for port in fleet.ports() {
        assert_eq!(held::accepts(port, roots).await, is_accepted);
    }
}
