//! The ledger of a claim, which is its status: what was claimed, what is on its way, how it
//! ended; no IO.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use silica_api::crd::{
    ClaimPhase, PendingSandbox, SandboxClaim, SandboxClaimSpec, SandboxClaimStatus, condition,
};

use super::end::End;
use crate::sandbox::Conditions;

/// What became of a sandbox on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It is claimed and accepts requests.
    Ready,
    /// It is claimed and not ready yet, for this reason.
    Waiting(String),
    /// It was claimed, will not become ready, and was given up.
    Failed(String),
    /// It is somebody else's, or gone.
    Lost,
    /// Nobody knows, or the API server refused something; it is tried again.
    Stuck(String),
}

/// How many sandboxes the claim asks for.
pub(super) fn wanted(spec: &SandboxClaimSpec) -> usize {
    usize::try_from(spec.replicas).unwrap_or(0)
}

/// How many sandboxes were claimed. Those that were deleted since count, too, and so do those
/// of a status in which only the number is left.
pub(super) fn claimed(ledger: &SandboxClaimStatus) -> usize {
    let counted = usize::try_from(ledger.claimed_replicas).unwrap_or(0);
    counted.max(ledger.sandboxes.len())
}

/// A stored time: stored times have whole seconds, and no wait may be shorter than asked for.
pub(super) fn stamp(now: Timestamp) -> Time {
    let up = i64::from(now.subsec_nanosecond() > 0);
    Time(Timestamp::from_second(now.as_second() + up).unwrap_or(now))
}

/// The status of a claim that has none. Sandboxes that belong to it already are proof of one
/// that was lost.
pub(super) fn begin(owned: Vec<String>, now: Timestamp) -> SandboxClaimStatus {
    SandboxClaimStatus {
        phase: Some(ClaimPhase::Claiming),
        claimed_replicas: count(owned.len()),
        sandboxes: owned,
        claim_start_time: Some(stamp(now)),
        ..SandboxClaimStatus::default()
    }
}

/// Makes this controller the one that is at work. Returns whether that has to be written before
/// anything is done: another one may be about to write what became of those on their way.
pub(super) fn sign(ledger: &mut SandboxClaimStatus, term: &str) -> bool {
    let is_ours = ledger.worker.as_deref() == Some(term);
    ledger.worker = Some(term.to_owned());
    !is_ours && !ledger.pending.is_empty()
}

/// Enters what became of the pending sandboxes. Returns the names of those that are lost.
pub(super) fn settle(
    ledger: &mut SandboxClaimStatus,
    outcomes: Vec<(PendingSandbox, Outcome)>,
) -> Vec<String> {
    let mut lost = Vec::new();
    ledger.pending.clear();
    for (pending, outcome) in outcomes {
        match outcome {
            Outcome::Ready => {
                ledger.claimed_replicas = count(claimed(ledger) + 1);
                ledger.sandboxes.push(pending.name);
            }
            Outcome::Waiting(_) | Outcome::Stuck(_) => ledger.pending.push(pending),
            Outcome::Failed(_) => ledger.failed_replicas = ledger.failed_replicas.saturating_add(1),
            Outcome::Lost => lost.push(pending.name),
        }
    }
    lost
}

/// What somebody should know, worst first.
pub(super) fn trouble(outcomes: &[(PendingSandbox, Outcome)]) -> Option<String> {
    let named = |(pending, outcome): &(PendingSandbox, Outcome)| match outcome {
        Outcome::Stuck(message) => Some(format!("sandbox {:?}: {message}", pending.name)),
        _ => None,
    };
    let failed = |(pending, outcome): &(PendingSandbox, Outcome)| match outcome {
        Outcome::Failed(message) => Some(format!("sandbox {:?} failed: {message}", pending.name)),
        _ => None,
    };
    let first_failed = || outcomes.iter().find_map(failed);
    outcomes.iter().find_map(named).or_else(first_failed)
}

/// Says what a claim at work waits for.
pub(super) fn describe(claim: &SandboxClaim, ledger: &mut SandboxClaimStatus, trouble: Option<&str>) {
    ledger.observed_generation = claim.metadata.generation.unwrap_or(0);
    let waits = || {
        if ledger.pending.is_empty() {
            format!(
                "waiting for the pool of SandboxSet {:?}",
                claim.spec.template_name
            )
        } else {
            format!("{} sandboxes are on their way", ledger.pending.len())
        }
    };
    ledger.message = Some(trouble.map_or_else(waits, str::to_owned));
}

/// Completes the claim if it has all, or if it is over and nothing is on its way any more.
pub(super) fn conclude(
    claim: &SandboxClaim,
    ledger: &mut SandboxClaimStatus,
    end: Option<End>,
    trouble: Option<&str>,
    now: Timestamp,
) {
    let (claimed, wanted) = (claimed(ledger), wanted(&claim.spec));
    let so_far = format!("{claimed} of {wanted} sandboxes were claimed");
    let (reason, message) = if claimed >= wanted {
        (condition::ALL_REPLICAS_CLAIMED, so_far)
    } else {
        match end {
            Some(End::Invalid(why)) => {
                ledger.pending.clear();
                (condition::INVALID_SPEC, why)
            }
            Some(end) if ledger.pending.is_empty() => {
                let last = trouble.or(ledger.message.as_deref());
                explain(claim, end, &so_far, last)
            }
            _ => return describe(claim, ledger, trouble),
        }
    };
    ledger.observed_generation = claim.metadata.generation.unwrap_or(0);
    ledger.phase = Some(ClaimPhase::Completed);
    ledger.completion_time = Some(stamp(now));
    let mut conditions = Conditions {
        list: &mut ledger.conditions,
        generation: claim.metadata.generation,
        now,
    };
    conditions.set(condition::COMPLETED, true, reason, &message);
    if reason == condition::TIMEOUT_REACHED {
        conditions.set(
            condition::TIMED_OUT,
            true,
            condition::CLAIM_TIMEOUT_REACHED,
            &message,
        );
    }
    ledger.message = Some(message);
}

/// Reason and message of an end before all were claimed; `last` is what went wrong last.
fn explain(claim: &SandboxClaim, end: End, so_far: &str, last: Option<&str>) -> (&'static str, String) {
    let last = last.map_or_else(String::new, |last| format!("; the last state: {last}"));
    match end {
        End::Invalid(why) => (condition::INVALID_SPEC, why),
        End::NoSet(why) => (condition::SANDBOX_SET_NOT_FOUND, format!("{why}; {so_far}")),
        End::Failures => (
            condition::SANDBOXES_FAILED,
            format!("{so_far}, and too many failed{last}"),
        ),
        End::Timeout => {
            let limit = std::time::Duration::from(claim.spec.claim_timeout);
            let advice = if claim.spec.create_on_no_stock {
                String::new()
            } else {
                let set = &claim.spec.template_name;
                format!("; raise the replicas of SandboxSet {set:?}, or set createOnNoStock")
            };
            (
                condition::TIMEOUT_REACHED,
                format!("{so_far} within {} s{advice}{last}", limit.as_secs()),
            )
        }
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use silica_api::crd::ConditionStatus;

    use super::{super::order::tests::claim, *};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn pending(name: &str) -> PendingSandbox {
        PendingSandbox {
            name: name.to_owned(),
            created: false,
            since: Time(at(0)),
        }
    }

    fn work(names: &[&str]) -> SandboxClaimStatus {
        SandboxClaimStatus {
            pending: names.iter().map(|name| pending(name)).collect(),
            ..begin(Vec::new(), at(0))
        }
    }

    fn reasons(ledger: &SandboxClaimStatus) -> Vec<(&str, &str)> {
        let conditions = ledger.conditions.iter();
        conditions
            .map(|one| {
                assert_eq!(one.status, ConditionStatus::True);
                (one.kind.as_str(), one.reason.as_str())
            })
            .collect()
    }

    #[test]
    fn each_outcome_is_entered_once() {
        let mut ledger = work(&["a", "b", "c", "d", "e"]);
        let outcomes = vec![
            (pending("a"), Outcome::Ready),
            (pending("b"), Outcome::Waiting("x".to_owned())),
            (pending("c"), Outcome::Failed("boom".to_owned())),
            (pending("d"), Outcome::Lost),
            (pending("e"), Outcome::Stuck("quota".to_owned())),
        ];
        assert_eq!(trouble(&outcomes).as_deref(), Some(r#"sandbox "e": quota"#));
        assert_eq!(settle(&mut ledger, outcomes), ["d"]);
        assert_eq!((ledger.claimed_replicas, ledger.failed_replicas), (1, 1));
        assert_eq!(ledger.sandboxes, ["a"]);
        assert_eq!(ledger.pending, [pending("b"), pending("e")]);
    }

    #[test]
    fn a_lost_status_begins_with_what_the_claim_has() {
        let mut ledger = begin(vec!["a".to_owned(), "b".to_owned()], at(0));
        assert_eq!((ledger.claimed_replicas, claimed(&ledger)), (2, 2));
        conclude(&claim(&json!({"replicas": 2})), &mut ledger, None, None, at(1));
        assert_eq!(
            reasons(&ledger),
            [(condition::COMPLETED, condition::ALL_REPLICAS_CLAIMED)]
        );
        assert_eq!(ledger.sandboxes, ["a", "b"]);
        assert_eq!(ledger.completion_time, Some(Time(at(1))));
    }

    #[test]
    fn what_is_on_its_way_keeps_a_claim_that_is_over_at_work() {
        let mut ledger = work(&["a"]);
        let asked = claim(&json!({"replicas": 2}));
        conclude(&asked, &mut ledger, Some(End::Timeout), None, at(60));
        assert_eq!(ledger.phase, Some(ClaimPhase::Claiming));
        assert_eq!(ledger.conditions, []);
        settle(&mut ledger, vec![(pending("a"), Outcome::Ready)]);
        conclude(&asked, &mut ledger, Some(End::Timeout), None, at(61));
        assert_eq!(
            reasons(&ledger),
            [
                (condition::COMPLETED, condition::TIMEOUT_REACHED),
                (condition::TIMED_OUT, condition::CLAIM_TIMEOUT_REACHED)
            ]
        );
        let message = ledger.message.unwrap();
        assert!(
            message.starts_with("1 of 2 sandboxes were claimed within 60 s"),
            "{message}"
        );
    }

    #[test]
    fn a_timeout_says_what_went_wrong_last() {
        let mut ledger = work(&[]);
        let asked = claim(&json!({"createOnNoStock": false}));
        describe(&asked, &mut ledger, None);
        conclude(&asked, &mut ledger, Some(End::Timeout), None, at(60));
        assert_eq!(
            ledger.message.as_deref(),
            Some(
                "0 of 1 sandboxes were claimed within 60 s; raise the replicas of SandboxSet \"pool\", or set \
                 createOnNoStock; the last state: waiting for the pool of SandboxSet \"pool\""
            )
        );
    }

    #[test]
    fn a_claim_that_cannot_be_carried_out_says_why_at_once() {
        for (end, reason) in [
            (End::Invalid("no".to_owned()), condition::INVALID_SPEC),
            (End::NoSet("no".to_owned()), condition::SANDBOX_SET_NOT_FOUND),
            (End::Failures, condition::SANDBOXES_FAILED),
        ] {
            let mut ledger = work(&[]);
            conclude(&claim(&json!({})), &mut ledger, Some(end), Some("boom"), at(1));
            assert_eq!(reasons(&ledger), [(condition::COMPLETED, reason)]);
        }
    }

    #[test]
    fn a_successor_signs_before_it_touches_what_is_on_its_way() {
        let mut ledger = work(&[]);
        assert!(
            !sign(&mut ledger, "one"),
            "the first batch is written before it is touched"
        );
        ledger.pending.push(pending("a"));
        assert!(!sign(&mut ledger, "one"));
        assert!(sign(&mut ledger, "two"));
        assert_eq!(ledger.worker.as_deref(), Some("two"));
    }

    #[test]
    fn stored_times_are_rounded_up() {
        let between = Timestamp::from_millisecond(1_500).unwrap();
        assert_eq!(stamp(between).0.as_second(), 2);
        assert_eq!(stamp(at(3)), Time(at(3)));
    }
}
