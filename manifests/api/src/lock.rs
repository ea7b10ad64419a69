//! The Lease by which those exclude each other that change an installation:
//! its form, and when it may be taken over.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::core::ObjectMeta;

use crate::labels;

/// Name of the Lease.
pub const LEASE: &str = "silica-installer";
/// Annotation with the holder's process, when it can be told from others.
pub const PROCESS: &str = "silica/process";
/// How long a holder that does not renew is waited for.
pub const LIFETIME: Duration = Duration::from_mins(1);
/// How often a Lease is looked at that may be taken over.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Somebody else is at work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// Who it is, for people.
    pub holder: String,
    /// Seconds since it was last renewed.
    pub age: i64,
}

/// The Lease as its holder writes it.
pub fn lease(namespace: &str, holder: &str, process: Option<String>, now: Timestamp) -> Lease {
    let process = process.map(|process| (PROCESS.to_owned(), process));
    Lease {
        metadata: ObjectMeta {
            name: Some(LEASE.into()),
            namespace: Some(namespace.into()),
            labels: Some(labels::product()),
            annotations: Some(process.into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: i32::try_from(LIFETIME.as_secs()).ok(),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

/// What a look at somebody's Lease says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Look {
    /// Its holder is at work.
    Held(Held),
    /// Nobody can tell yet; look again, for as long as this.
    Wait(Duration),
    /// It may be taken over.
    Free,
}

/// What was seen last, and since when, by the own clock alone: that of the holder of a Lease
/// may differ from ours.
#[derive(Clone, Debug, Default)]
pub struct Unchanged<T>(Option<(T, Instant)>);

/// What [`Unchanged::compare`] finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// Nothing was seen before.
    First,
    /// It has been the same for this long.
    Same(Duration),
    /// It has changed.
    Changed,
}

impl<T: PartialEq> Unchanged<T> {
    /// Compares what is seen `at` this moment with what was noted.
    pub fn compare(&self, seen: &T, at: Instant) -> Seen {
        match &self.0 {
            None => Seen::First,
            Some((before, since)) if before == seen => Seen::Same(at.saturating_duration_since(*since)),
            Some(_) => Seen::Changed,
        }
    }

    /// Notes what is seen `at` this moment, unless it is what was noted before.
    pub fn note(&mut self, seen: T, at: Instant) {
        if !matches!(self.compare(&seen, at), Seen::Same(_)) {
            self.0 = Some((seen, at));
        }
    }

    /// What is left `at` this moment of a time that began when the last change was noted.
    pub fn left(&self, of: Duration, at: Instant) -> Duration {
        let since = self
            .0
            .as_ref()
            .map(|(_, since)| at.saturating_duration_since(*since));
        of.saturating_sub(since.unwrap_or_default())
    }
}

/// Looks at a Lease again and again. Only time that passed here decides that it was not
/// renewed.
#[derive(Debug, Default)]
pub struct Watch {
    /// Holder and time of the last renewal.
    seen: Unchanged<Mark>,
}

/// What changes with every renewal.
type Mark = (Option<String>, Timestamp);

impl Watch {
    /// What can be said `at` this moment, at which the local clock shows `now`. The Lease is
    /// free when it stayed the same for its whole lifetime, or when its holder `has_ended`,
    /// which is asked with the annotation [`PROCESS`].
    pub fn look(
        &mut self,
        found: &Lease,
        at: Instant,
        now: Timestamp,
        has_ended: impl Fn(&str) -> bool,
    ) -> Look {
        let Some((spec, renewed)) = found
            .spec
            .as_ref()
            .and_then(|spec| Some((spec, spec.renew_time.as_ref()?.0)))
        else {
            return Look::Free;
        };
        let empty = BTreeMap::new();
        let annotations = found.metadata.annotations.as_ref().unwrap_or(&empty);
        if annotations.get(PROCESS).is_some_and(|text| has_ended(text)) {
            return Look::Free;
        }
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        let lifetime = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let age = now.as_second() - renewed.as_second();
        let held = || {
            Look::Held(Held {
                holder: spec.holder_identity.clone().unwrap_or_else(|| "somebody".into()),
                age: age.max(0),
            })
        };
        let mark = (spec.holder_identity.clone(), renewed);
        match self.seen.compare(&mark, at) {
            Seen::Same(_) => match self.seen.left(lifetime, at) {
                Duration::ZERO => Look::Free,
                rest => Look::Wait(rest),
            },
            // It was renewed before our eyes.
            Seen::Changed => held(),
            // Fresh by both clocks: nobody has to wait for the answer.
            Seen::First if age.unsigned_abs() < lifetime.as_secs() => held(),
            Seen::First if lifetime.is_zero() => Look::Free,
            Seen::First => {
                self.seen.note(mark, at);
                Look::Wait(lifetime)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn held(since: i64) -> Lease {
        lease(
            crate::names::NAMESPACE,
            "jane@laptop-7",
            Some("process".into()),
            after(since),
        )
    }

    fn alive(_: &str) -> bool {
        false
    }

    #[test]
    fn a_live_holder_is_named_with_its_age() {
        for (clock, age) in [(7, 7), (59, 59), (-30, 0)] {
            let look = Watch::default().look(&held(0), Instant::now(), after(clock), alive);
            let Look::Held(refusal) = look else {
                panic!("{look:?} at {clock}");
            };
            assert_eq!((&*refusal.holder, refusal.age), ("jane@laptop-7", age));
        }
    }

    #[test]
    fn a_holder_that_stopped_renewing_loses_the_lock_after_its_lifetime_here() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut look = |passed: u64| {
            let at = start + Duration::from_secs(passed);
            watch.look(&held(0), at, after(60), alive)
        };
        assert_eq!(look(0), Look::Wait(LIFETIME));
        assert_eq!(look(59), Look::Wait(Duration::from_secs(1)));
        assert_eq!(look(60), Look::Free);
    }

    #[test]
    fn clocks_that_differ_take_nothing_from_who_renews() {
        for skew in [3600, -3600] {
            let (mut watch, start) = (Watch::default(), Instant::now());
            let first = watch.look(&held(0), start, after(skew), alive);
            assert_eq!(first, Look::Wait(LIFETIME), "{skew}");
            let later = start + Duration::from_secs(70);
            let look = watch.look(&held(15), later, after(skew + 70), alive);
            assert!(matches!(look, Look::Held(_)), "{look:?} at {skew}");
        }
    }

    #[test]
    fn a_holder_that_has_ended_loses_it_at_once() {
        let ended = |process: &str| process == "process";
        let look = Watch::default().look(&held(0), Instant::now(), after(1), ended);
        assert_eq!(look, Look::Free);
    }
}
