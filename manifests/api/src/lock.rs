//! The Lease by which those exclude each other that change an installation:
//! its form, and when it may be taken over.

use std::{collections::BTreeMap, time::Duration};

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

/// Who holds the Lease; `None` when it may be taken over: it was not renewed in
/// time, or its holder `has_ended`, which is asked with the annotation
/// [`PROCESS`].
pub fn judge(found: &Lease, now: Timestamp, has_ended: impl Fn(&str) -> bool) -> Option<Held> {
    let spec = found.spec.as_ref()?;
    let renewed = spec.renew_time.as_ref()?.0;
    let lifetime = i64::from(spec.lease_duration_seconds.unwrap_or_default());
    // A clock that is behind must not make the age negative.
    let age = (now.as_second() - renewed.as_second()).max(0);
    let empty = BTreeMap::new();
    let annotations = found.metadata.annotations.as_ref().unwrap_or(&empty);
    let is_over = annotations.get(PROCESS).is_some_and(|text| has_ended(text));
    if age >= lifetime || is_over {
        return None;
    }
    let holder = spec.holder_identity.clone().unwrap_or_else(|| "somebody".into());
    Some(Held { holder, age })
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

    #[test]
    fn a_live_holder_is_named_with_its_age() {
        let refusal = judge(&held(0), after(7), |_| false).unwrap();
        assert_eq!((&*refusal.holder, refusal.age), ("jane@laptop-7", 7));
    }

    #[test]
    fn a_holder_that_stopped_renewing_loses_the_lock() {
        assert!(judge(&held(0), after(59), |_| false).is_some());
        assert!(judge(&held(0), after(60), |_| false).is_none());
    }

    #[test]
    fn a_holder_that_has_ended_loses_it_at_once() {
        assert!(judge(&held(0), after(1), |process| process == "process").is_none());
    }

    #[test]
    fn a_clock_that_is_behind_takes_nothing_over() {
        assert!(judge(&held(100), after(0), |_| false).is_some());
    }
}
