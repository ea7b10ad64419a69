//! When a change of the specification is confirmed in the status; no IO.
//!
//! A claim changes the specification, and nothing else about a running sandbox. To say so costs
//! a write for each claim, at the moment when claims come in bursts and the API server has
//! other claims to serve: it can wait for a second.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use silica_api::crd::{Sandbox, SandboxStatus};
use silica_core::annotations;

/// How long after its claim a sandbox may wait.
const QUIET: SignedDuration = SignedDuration::from_secs(1);

/// How long this status may wait: it only confirms the generation, shortly after a claim.
pub(super) fn may_wait(sandbox: &Sandbox, next: &SandboxStatus, now: Timestamp) -> Option<Duration> {
    let old = sandbox.status.as_ref()?;
    if old == next || confirmed(old, next) != *next {
        return None;
    }
    let claimed = annotations::claimed_at(sandbox.annotations())?;
    let since = now.duration_since(claimed);
    // A claim from the future is one of another clock.
    let is_fresh = since.abs() < QUIET;
    let left = is_fresh.then(|| QUIET.saturating_sub(since.max(SignedDuration::ZERO)))?;
    Duration::try_from(left).ok()
}

/// The old status with the generations of the next one.
fn confirmed(old: &SandboxStatus, next: &SandboxStatus) -> SandboxStatus {
    let mut confirmed = old.clone();
    confirmed.observed_generation = next.observed_generation;
    for (condition, newer) in confirmed.conditions.iter_mut().zip(&next.conditions) {
        condition.observed_generation = newer.observed_generation;
    }
    confirmed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use silica_api::labels;

    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millisecond).unwrap()
    }

    fn status(generation: i64, reason: &str) -> SandboxStatus {
        serde_json::from_value(json!({
            "phase": "Running", "observedGeneration": generation,
            "conditions": [{"type": "Ready", "status": "True", "reason": reason, "message": "",
                "lastTransitionTime": at(0).to_string(), "observedGeneration": generation}],
        }))
        .unwrap()
    }

    /// Claimed at 0.
    fn sandbox() -> Sandbox {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a", "annotations": {labels::CLAIM_TIMESTAMP: at(0).to_string()}},
            "spec": {}, "status": status(1, "PodReady"),
        }))
        .unwrap()
    }

    #[test]
    fn the_generation_of_a_claim_waits_for_a_second() {
        let wait = |now| may_wait(&sandbox(), &status(2, "PodReady"), now);
        assert_eq!(wait(at(10)), Some(Duration::from_millis(990)));
        assert_eq!(wait(at(1000)), None);
        assert_eq!(wait(at(-5)), Some(Duration::from_secs(1)));
        assert_eq!(wait(at(-5000)), None);
    }

    #[test]
    fn what_says_more_is_written_at_once() {
        assert_eq!(may_wait(&sandbox(), &status(2, "PodTerminating"), at(10)), None);
    }

    #[test]
    fn a_sandbox_that_nobody_has_claimed_waits_for_nothing() {
        let mut unclaimed = sandbox();
        unclaimed.metadata.annotations = None;
        assert_eq!(may_wait(&unclaimed, &status(2, "PodReady"), at(10)), None);
    }
}
