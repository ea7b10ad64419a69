//! Decides which sandboxes come next, when a claim is over and when to look again; no IO.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{ResourceExt, core::Duration as Limit};
use silica_api::crd::{
    ClaimPhase, PendingSandbox, SandboxClaim, SandboxClaimSpec, SandboxClaimStatus, SandboxSet,
};
use silica_core::claim;

use super::{end::End, status};
use crate::driver::LONGEST_SLEEP;

/// Sandboxes in the first batch; each batch is as large as all before it together.
const FIRST_BATCH: usize = 5;
/// Sandboxes on their way at a time.
const LARGEST_BATCH: usize = 50;
/// Failures that a claim of few sandboxes bears.
const FEW_FAILURES: usize = 3;
/// Shortest sleep.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// Whether the claim is over, for another reason than that it has all.
pub(super) fn end(
    claim: &SandboxClaim,
    ledger: &SandboxClaimStatus,
    set: Option<&SandboxSet>,
    invalid: Option<&super::order::Error>,
    now: Timestamp,
) -> Option<End> {
    if let Some(error) = invalid {
        return Some(End::Invalid(error.to_string()));
    }
    let name = &claim.spec.template_name;
    let Some(set) = set else {
        let namespace = claim.namespace().unwrap_or_default();
        return Some(End::NoSet(format!(
            "SandboxSet {name:?} does not exist in namespace {namespace:?}"
        )));
    };
    if set.metadata.deletion_timestamp.is_some() {
        return Some(End::NoSet(format!("SandboxSet {name:?} is being deleted")));
    }
    let failed = usize::try_from(ledger.failed_replicas).unwrap_or(0);
    if failed >= bearable(&claim.spec) {
        return Some(End::Failures);
    }
    deadline(claim, ledger)
        .is_some_and(|deadline| deadline <= now)
        .then_some(End::Timeout)
}

/// Failures at which a claim gives up. A bad image would spoil one sandbox after the other, and
/// no sandbox gets a volume that one did not get.
fn bearable(spec: &SandboxClaimSpec) -> usize {
    if has_image(spec) || has_volumes(spec) {
        1
    } else {
        FEW_FAILURES.max(status::wanted(spec) / 10)
    }
}

fn has_volumes(spec: &SandboxClaimSpec) -> bool {
    !spec.dynamic_volumes_mount.is_empty()
}

fn has_image(spec: &SandboxClaimSpec) -> bool {
    spec.inplace_update
        .as_ref()
        .is_some_and(|update| update.image.is_some())
}

/// When nothing more is claimed.
fn deadline(claim: &SandboxClaim, ledger: &SandboxClaimStatus) -> Option<Timestamp> {
    let start = ledger.claim_start_time.as_ref()?;
    Some(after(start, claim.spec.claim_timeout))
}

/// When a sandbox has to be ready.
pub(super) fn ready_by(spec: &SandboxClaimSpec, pending: &PendingSandbox) -> Timestamp {
    after(&pending.since, spec.wait_ready_timeout)
}

fn after(start: &Time, limit: Limit) -> Timestamp {
    start.0.saturating_add(Duration::from(limit)).unwrap_or(start.0)
}

/// Time until a completed claim is deleted; nothing when it is kept.
pub(super) fn until_expiry(claim: &SandboxClaim, now: Timestamp) -> Option<Duration> {
    let status = claim.status.as_ref()?;
    let completed = status.completion_time.as_ref()?;
    let ttl = claim.spec.ttl_after_completed;
    (!ttl.is_negative()).then(|| left(after(completed, ttl), now))
}

/// When to look again although nothing changed; `retry` is the pause after trouble.
pub(super) fn pause(claim: &SandboxClaim, retry: Option<Duration>, now: Timestamp) -> Option<Duration> {
    let ledger = claim.status.as_ref()?;
    if ledger.phase == Some(ClaimPhase::Completed) {
        return until_expiry(claim, now).map(|left| left.clamp(SHORTEST_SLEEP, LONGEST_SLEEP));
    }
    let deadline = deadline(claim, ledger).filter(|deadline| *deadline > now);
    let ready = ledger
        .pending
        .iter()
        .map(|pending| ready_by(&claim.spec, pending));
    deadline
        .into_iter()
        .chain(ready)
        .map(|time| left(time, now))
        .chain(retry)
        .min()
        .map(|pause| pause.clamp(SHORTEST_SLEEP, LONGEST_SLEEP))
}

fn left(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_until(time)).unwrap_or(Duration::ZERO)
}

/// A sandbox that can be taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Candidate {
    pub(super) name: String,
    /// Made from the newest template.
    pub(super) is_current: bool,
}

/// What is claimed next.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Chosen {
    /// Members of the pool.
    pub(super) taken: Vec<String>,
    /// How many are made.
    pub(super) made: usize,
}

/// Chooses the next batch. `lost` are members that somebody else was faster with; `random` is
/// where the choice begins, see [`claim::order`].
pub(super) fn choose(
    spec: &SandboxClaimSpec,
    ledger: &SandboxClaimStatus,
    mut candidates: Vec<Candidate>,
    lost: &[String],
    random: usize,
) -> Chosen {
    let claimed = status::claimed(ledger);
    let pending = ledger.pending.len();
    let first = if has_image(spec) { 1 } else { FIRST_BATCH };
    let missing = status::wanted(spec).saturating_sub(claimed + pending);
    let batch = claimed.clamp(first, LARGEST_BATCH).saturating_sub(pending);
    let count = missing.min(batch);

    let is_known = |name: &String| {
        let is_pending = ledger.pending.iter().any(|pending| pending.name == *name);
        is_pending || ledger.sandboxes.contains(name) || lost.contains(name)
    };
    // A running pod takes no volumes.
    candidates.retain(|candidate| !has_volumes(spec) && !is_known(&candidate.name));
    let order = claim::order(candidates.iter().map(|candidate| candidate.is_current), random);
    let taken: Vec<String> = order
        .into_iter()
        .take(count)
        .map(|index| candidates[index].name.clone())
        .collect();
    let made = if spec.create_on_no_stock || has_volumes(spec) {
        count - taken.len()
    } else {
        0
    };
    Chosen { taken, made }
}

/// The entries of the ledger for what was chosen.
pub(super) fn render(
    chosen: Chosen,
    new_name: impl Fn() -> String,
    now: Timestamp,
) -> impl Iterator<Item = PendingSandbox> {
    let since = status::stamp(now);
    let made = (0..chosen.made).map(move |_| (new_name(), true));
    let all = chosen.taken.into_iter().map(|name| (name, false)).chain(made);
    all.map(move |(name, created)| PendingSandbox {
        name,
        created,
        since: since.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::order::tests::claim, *};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ledger(fields: &Value) -> SandboxClaimStatus {
        let mut ledger: SandboxClaimStatus = serde_json::from_value(fields.clone()).unwrap();
        ledger.claim_start_time = Some(Time(at(0)));
        ledger
    }

    fn pool(names: &[&str]) -> Vec<Candidate> {
        let candidate = |name: &&str| Candidate {
            name: (*name).to_owned(),
            is_current: true,
        };
        names.iter().map(candidate).collect()
    }

    fn chosen(spec: &Value, state: &Value, names: &[&str]) -> (usize, usize) {
        let spec = claim(spec).spec;
        let chosen = choose(&spec, &ledger(state), pool(names), &[], 0);
        (chosen.taken.len(), chosen.made)
    }

    #[test]
    fn what_the_pool_lacks_is_made_or_waited_for() {
        let waits = json!({"replicas": 3, "createOnNoStock": false});
        let makes = json!({"replicas": 3});
        assert_eq!(chosen(&waits, &json!({}), &["a"]), (1, 0));
        assert_eq!(chosen(&makes, &json!({}), &["a"]), (1, 2));
        assert_eq!(chosen(&waits, &json!({}), &[]), (0, 0));
        assert_eq!(chosen(&makes, &json!({}), &["a", "b", "c", "d"]), (3, 0));
    }

    #[test]
    fn sandboxes_with_volumes_are_made_whatever_the_pool_has() {
        let spec = json!({"replicas": 2, "createOnNoStock": false,
            "dynamicVolumesMount": [{"pvName": "data", "mountPath": "/data"}]});
        assert_eq!(chosen(&spec, &json!({}), &["a", "b"]), (0, 2));
    }

    #[test]
    fn claimed_and_pending_together_never_exceed_the_replicas() {
        let spec = json!({"replicas": 3});
        let pending = |name: &str| json!({"name": name, "since": at(0).to_string()});
        for (state, expected) in [
            (json!({"claimedReplicas": 2, "sandboxes": ["x", "y"]}), 1),
            (
                json!({"claimedReplicas": 2, "sandboxes": ["x", "y"], "pending": [pending("z")]}),
                0,
            ),
            (json!({"pending": [pending("x"), pending("y")]}), 1),
            // Names that were lost, and numbers that were: the larger one counts.
            (json!({"claimedReplicas": 3}), 0),
            (json!({"sandboxes": ["x", "y", "z"]}), 0),
        ] {
            let (taken, made) = chosen(&spec, &state, &["a", "b", "c", "d"]);
            assert_eq!(taken + made, expected, "{state}");
        }
    }

    #[test]
    fn batches_grow_with_success_and_an_image_is_tried_on_one_sandbox_first() {
        let spec = json!({"replicas": 1000});
        let names: Vec<String> = (0..200).map(|index| index.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let batch = |spec: &Value, claimed: i32| chosen(spec, &json!({"claimedReplicas": claimed}), &names).0;
        let sizes: Vec<_> = [0, 5, 10, 40, 500].map(|claimed| batch(&spec, claimed)).into();
        assert_eq!(sizes, [5, 5, 10, 40, 50]);
        let image = json!({"replicas": 1000, "inplaceUpdate": {"image": "i"}});
        let sizes: Vec<_> = [0, 1, 2].map(|claimed| batch(&image, claimed)).into();
        assert_eq!(sizes, [1, 1, 2]);
    }

    #[test]
    fn members_that_are_known_or_lost_are_not_chosen_again() {
        let spec = claim(&json!({"replicas": 5, "createOnNoStock": false})).spec;
        let state = json!({"sandboxes": ["a"], "claimedReplicas": 1, "pending": [{"name": "b", "since": at(0).to_string()}]});
        let lost = ["c".to_owned()];
        let chosen = choose(&spec, &ledger(&state), pool(&["a", "b", "c", "d"]), &lost, 0);
        assert_eq!(chosen.taken, ["d"]);
    }

    #[test]
    fn a_claim_ends_by_its_spec_its_pool_its_failures_and_its_time() {
        let claim = claim(&json!({"replicas": 2, "claimTimeout": "1m"}));
        let set: SandboxSet = serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet",
            "metadata": {"name": "pool"}, "spec": {"replicas": 1},
        }))
        .unwrap();
        let failed = |count: i32| ledger(&json!({"failedReplicas": count}));
        let state = ledger(&json!({}));
        assert_eq!(end(&claim, &state, Some(&set), None, at(59)), None);
        assert_eq!(end(&claim, &state, Some(&set), None, at(60)), Some(End::Timeout));
        assert_eq!(
            end(&claim, &failed(3), Some(&set), None, at(1)),
            Some(End::Failures)
        );
        assert_eq!(end(&claim, &failed(2), Some(&set), None, at(1)), None);
        let error = super::super::order::Error::Resources;
        assert!(matches!(
            end(&claim, &state, None, Some(&error), at(1)),
            Some(End::Invalid(_))
        ));
        let Some(End::NoSet(message)) = end(&claim, &state, None, None, at(1)) else {
            panic!("a missing set is no end");
        };
        assert_eq!(message, r#"SandboxSet "pool" does not exist in namespace "ns""#);
        let mut leaving = set;
        leaving.metadata.deletion_timestamp = Some(Time(at(0)));
        assert!(matches!(
            end(&claim, &state, Some(&leaving), None, at(1)),
            Some(End::NoSet(_))
        ));
    }

    #[test]
    fn the_next_look_is_at_the_nearest_deadline() {
        let mut claim = claim(&json!({"claimTimeout": "50s", "waitReadyTimeout": "30s"}));
        let mut look = |state: &Value, retry: Option<u64>, second: i64| {
            claim.status = Some(ledger(state));
            pause(&claim, retry.map(Duration::from_secs), at(second))
        };
        let waiting = json!({"phase": "Claiming", "pending": [{"name": "a", "since": at(10).to_string()}]});
        assert_eq!(
            look(&json!({"phase": "Claiming"}), None, 20),
            Some(Duration::from_secs(30))
        );
        assert_eq!(look(&waiting, None, 15), Some(Duration::from_secs(25)));
        assert_eq!(look(&waiting, Some(5), 15), Some(Duration::from_secs(5)));
        assert_eq!(
            look(&waiting, None, 45),
            Some(SHORTEST_SLEEP),
            "one that is late is looked at now"
        );
        assert_eq!(look(&json!({"phase": "Claiming"}), None, 55), None);
    }

    #[test]
    fn a_completed_claim_is_deleted_after_its_time_unless_that_is_negative() {
        let done = |ttl: &str| {
            let mut claim = claim(&json!({"ttlAfterCompleted": ttl}));
            claim.status = Some(SandboxClaimStatus {
                phase: Some(ClaimPhase::Completed),
                completion_time: Some(Time(at(0))),
                ..SandboxClaimStatus::default()
            });
            claim
        };
        assert_eq!(until_expiry(&done("60m"), at(0)), Some(Duration::from_hours(1)));
        assert_eq!(until_expiry(&done("60m"), at(3600)), Some(Duration::ZERO));
        assert_eq!(until_expiry(&done("0s"), at(0)), Some(Duration::ZERO));
        assert_eq!(until_expiry(&done("-1s"), at(9999)), None);
        assert_eq!(pause(&done("60m"), None, at(0)), Some(LONGEST_SLEEP));
    }
}
