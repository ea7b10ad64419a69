//! What follows from the fields of an object.

use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-01T12:00:00Z";

/// A claimed sandbox whose main container has this id.
fn entry(container: &str, mut annotations: Value) -> Entry {
    annotations[labels::CLAIM_TIMESTAMP] = json!(NOW);
    serde_json::from_value(json!({
        "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
        "metadata": {"name": "a", "namespace": "default", "uid": "u", "resourceVersion": "1",
            "labels": {labels::CLAIMED: "true"}, "annotations": annotations},
        "spec": {"template": {}},
        "status": {"phase": "Running", "podInfo": {"podIP": "10.0.0.1", "containerID": container},
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": NOW}]},
    }))
    .ok()
    .and_then(Entry::new)
    .unwrap()
}

#[test]
fn a_restarted_container_is_told_once_whose_it_is() {
    let claimed = json!({labels::LOCK: "l", labels::INITIALISED_CONTAINER: "c1"});
    assert!(!entry("c1", claimed.clone()).is_uninitialised());
    let restarted = entry("c2", claimed);
    assert!(restarted.is_uninitialised());
    restarted.put_initialisation_off();
    assert!(!restarted.is_uninitialised(), "a failure is not repeated at once");
    restarted.note_initialised();
    assert!(!restarted.is_uninitialised());
}

#[test]
fn nobody_calls_the_daemon_of_a_sandbox_that_was_not_claimed_or_wants_no_call() {
    assert!(!entry("c1", json!({})).is_uninitialised());
    let skips = json!({labels::LOCK: "l", labels::SKIP_INIT: "true"});
    assert!(!entry("c1", skips).is_uninitialised());
    let resumed = json!({labels::LOCK: "l"});
    assert!(entry("c1", resumed).is_uninitialised());
}

#[test]
fn a_sandbox_is_fresh_after_its_claim_and_after_its_latest_start() {
    let claimed: Timestamp = NOW.parse().unwrap();
    let mut entry = entry("c1", json!({}));
    assert_eq!(entry.fresh_since(), claimed);
    let resumed = Timestamp::from_second(claimed.as_second() + 600).unwrap();
    entry.ready_changed_at = Some(resumed);
    assert_eq!(entry.fresh_since(), resumed);
    entry.ready = false;
    assert_eq!(entry.fresh_since(), claimed);
}
