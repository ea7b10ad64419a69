//! What a candidate has seen of the Lease, and what follows from it; no IO.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use silica_api::lock::Unchanged;
use tokio::time::Instant;

/// What a candidate does next.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// Write the own identity.
    Take,
    /// The holder has this long to renew.
    Wait(Duration),
}

/// The last state of the Lease and when it was first seen, on the own clock.
pub(super) struct Record(Unchanged<Option<LeaseSpec>>);

impl Record {
    pub(super) fn new(now: Instant) -> Self {
        let mut seen = Unchanged::default();
        seen.note(None, now.into_std());
        Self(seen)
    }

    pub(super) fn note(&mut self, lease: Option<&Lease>, now: Instant) {
        self.0
            .note(lease.and_then(|lease| lease.spec.clone()), now.into_std());
    }

    /// A Lease that nobody holds, or that is held under the own name by a former
    /// life of this process, is free at once.
    pub(super) fn decide(
        &self,
        lease: Option<&Lease>,
        identity: &str,
        now: Instant,
        duration: Duration,
    ) -> Decision {
        match holder(lease) {
            None => Decision::Take,
            Some(holder) if holder == identity => Decision::Take,
            Some(_) => match self.0.left(duration, now.into_std()) {
                Duration::ZERO => Decision::Take,
                left => Decision::Wait(left),
            },
        }
    }
}

/// Who holds the Lease.
pub(super) fn holder(lease: Option<&Lease>) -> Option<&str> {
    lease?
        .spec
        .as_ref()?
        .holder_identity
        .as_deref()
        .filter(|holder| !holder.is_empty())
}

/// The Lease as held by `identity` from now on.
pub(super) fn taken(
    current: Option<&Lease>,
    identity: &str,
    now: MicroTime,
    duration: Duration,
) -> LeaseSpec {
    let before = current.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let is_renewal = holder(current) == Some(identity);
    let transitions = before.lease_transitions.unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
        acquire_time: if is_renewal {
            before.acquire_time.clone()
        } else {
            Some(now.clone())
        },
        renew_time: Some(now),
        lease_transitions: Some(if is_renewal || current.is_none() {
            transitions
        } else {
            transitions + 1
        }),
        ..before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);

    fn held_by(holder: &str, renewed: i64) -> Lease {
        let time = MicroTime(jiff::Timestamp::from_second(renewed).unwrap());
        Lease {
            spec: Some(taken(None, holder, time, DURATION)),
            ..Lease::default()
        }
    }

    #[test]
    fn a_renewing_holder_is_left_alone() {
        let start = Instant::now();
        let mut record = Record::new(start);
        record.note(Some(&held_by("other", 0)), start);
        let later = start + Duration::from_secs(14);
        record.note(Some(&held_by("other", 14)), later);
        assert_eq!(
            record.decide(
                Some(&held_by("other", 14)),
                "me",
                later + Duration::from_secs(5),
                DURATION
            ),
            Decision::Wait(Duration::from_secs(10))
        );
    }

    #[test]
    fn a_silent_holder_is_replaced_by_the_own_clock_whatever_its_timestamp_says() {
        let start = Instant::now();
        let mut record = Record::new(start);
        let far_future = held_by("other", 4_000_000_000);
        record.note(Some(&far_future), start);
        record.note(Some(&far_future), start + Duration::from_secs(9));
        assert_eq!(
            record.decide(Some(&far_future), "me", start + DURATION, DURATION),
            Decision::Take
        );
    }

    #[test]
    fn an_absent_a_released_and_the_own_lease_are_free_at_once() {
        let now = Instant::now();
        let record = Record::new(now);
        for lease in [None, Some(held_by("", 0)), Some(held_by("me", 0))] {
            assert_eq!(record.decide(lease.as_ref(), "me", now, DURATION), Decision::Take);
        }
    }

    #[test]
    fn transitions_count_changes_of_the_holder_only() {
        let now = MicroTime(jiff::Timestamp::UNIX_EPOCH);
        let mine = taken(None, "me", now.clone(), DURATION);
        assert_eq!(mine.lease_transitions, Some(0));
        let renewed = taken(Some(&held_by("me", 0)), "me", now.clone(), DURATION);
        assert_eq!(renewed.lease_transitions, Some(0));
        let taken_over = taken(Some(&held_by("other", 0)), "me", now, DURATION);
        assert_eq!(taken_over.lease_transitions, Some(1));
    }
}
