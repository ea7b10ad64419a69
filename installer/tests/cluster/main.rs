//! The binary against a real API server, named by the kubeconfig in
//! `SILICA_TEST_KUBECONFIG`: a throw-away cluster without an installation.
//!
//! Needs an API server and the controller manager (for deletion), but no node: nothing
//! is waited for, since no image is there, or what the nodes do is played.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

mod archive;
mod concurrent;
mod conflicts;
#[path = "../harness/mod.rs"]
mod harness;
mod killed;
mod quotas;
mod refusals;
mod removal;
mod rights;
mod rollout;
mod stage;
mod upgrade;

use std::{collections::BTreeMap, process::Output};

use archive::{an_archive_has_the_state_and_nothing_secret, what_may_not_be_read_is_missing_in_the_archive};
use concurrent::{a_held_lock_is_respected_until_it_expires, two_at_once_end_as_one};
use conflicts::{all_conflicts_are_told_and_can_be_forced, what_is_adopted_is_ours_from_then_on};
use harness::{Harness, NO_IMAGES, UNINSTALL};
use k8s_openapi::api::coordination::v1::Lease;
use killed::{LATE, killed_after, killed_early, killed_while_removing};
use kube::{api::DynamicObject, core::ApiResource};
use quotas::{
    pods_that_cannot_be_created_end_the_run_early, what_would_not_be_created_is_told_before_the_first_write,
};
use refusals::{
    a_foreign_namespace_is_refused, a_lost_stored_version_stops_the_upgrade,
    an_object_of_somebody_else_is_refused, foreign_definitions_are_refused,
    templates_without_their_namespace_are_refused,
};
use removal::{what_does_not_go_is_named_with_the_reason, what_somebody_brought_stays_with_its_namespace};
use rights::{the_printed_role_is_enough, without_rights_all_of_them_are_listed};
use rollout::{
    killed_in_the_rollout, what_was_proven_is_not_proven_again, without_waiting_nothing_is_removed,
};
use serde_json::Value;
use upgrade::{a_second_run_writes_nothing, a_version_that_does_not_start_gives_way_to_the_former};

/// Everything that an installation may consist of.
fn parts() -> Vec<&'static str> {
    let templates = ["--templates", "--template-image-base", "silica.invalid/base:1"];
    [&["--domain", "silica.localhost"], &NO_IMAGES[..], &templates].concat()
}

fn install() -> Vec<&'static str> {
    [&["install", "--no-wait"], &parts()[..]].concat()
}

/// The same without templates.
fn fewer() -> Vec<&'static str> {
    let rest = ["--domain", "silica.localhost", "--templates=false"];
    [&["install", "--no-wait"], &rest[..], &NO_IMAGES].concat()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn expect(output: &Output, code: i32, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installer_on_a_real_api_server() {
    let Some(harness) = Harness::connect().await else {
        return;
    };
    foreign_definitions_are_refused(&harness).await;
    a_foreign_namespace_is_refused(&harness).await;
    what_somebody_brought_stays_with_its_namespace(&harness).await;
    what_is_adopted_is_ours_from_then_on(&harness).await;
    templates_without_their_namespace_are_refused(&harness).await;
    without_rights_all_of_them_are_listed(&harness).await;
    the_printed_role_is_enough(&harness).await;
    what_may_not_be_read_is_missing_in_the_archive(&harness).await;
    an_archive_has_the_state_and_nothing_secret(&harness).await;
    let reference = a_second_run_writes_nothing(&harness).await;
    a_version_that_does_not_start_gives_way_to_the_former(&harness, &reference).await;
    killed_in_the_rollout(&harness, &reference).await;
    without_waiting_nothing_is_removed(&harness, &reference).await;
    what_was_proven_is_not_proven_again(&harness).await;
    an_object_of_somebody_else_is_refused(&harness, &reference).await;
    what_does_not_go_is_named_with_the_reason(&harness).await;
    all_conflicts_are_told_and_can_be_forced(&harness, &reference).await;
    what_would_not_be_created_is_told_before_the_first_write(&harness).await;
    pods_that_cannot_be_created_end_the_run_early(&harness).await;
    a_lost_stored_version_stops_the_upgrade(&harness).await;
    killed_early(&harness, &reference).await;
    withdraw(&harness).await;
    for phase in LATE {
        killed_after(&harness, phase, &reference).await;
        withdraw(&harness).await;
    }
    expect(&harness.silica(&UNINSTALL), 0, &[]);
    killed_while_removing(&harness).await;
    a_held_lock_is_respected_until_it_expires(&harness).await;
    two_at_once_end_as_one(&harness, &reference).await;
    assert!(harness.namespace().await.is_none());
}

async fn uninstall(harness: &Harness) {
    let kinds: Vec<ApiResource> = kinds(&harness.objects().await);
    expect(&harness.silica(&UNINSTALL), 0, &[]);
    assert_eq!(harness.leftovers(&kinds).await, Vec::<String>::new());
    assert!(harness.namespace().await.is_none());
}

fn kinds(objects: &BTreeMap<String, DynamicObject>) -> Vec<ApiResource> {
    let mut kinds: Vec<ApiResource> = Vec::new();
    for object in objects.values() {
        let types = object.types.clone().unwrap();
        let gvk = kube::core::GroupVersionKind::try_from(&types).unwrap();
        let kind = ApiResource::from_gvk(&gvk);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.push(ApiResource::erase::<Lease>(&()));
    kinds
}

/// Removes the installation without namespace and definitions.
async fn withdraw(harness: &Harness) {
    expect(&harness.silica(&["uninstall", "--delete-sandboxes"]), 0, &[]);
    assert!(harness.secrets().await.is_empty());
}

#[track_caller]
fn assert_same(found: &BTreeMap<String, Value>, reference: &BTreeMap<String, Value>, when: &str) {
    for (title, wanted) in reference {
        assert_eq!(found.get(title), Some(wanted), "{title}, {when}");
    }
    assert_eq!(found.len(), reference.len(), "{when}");
}
