//! Slows a pool down whose sandboxes fail, so that a broken template cannot
//! make them in a hot loop; no IO.

use jiff::{SignedDuration, Timestamp};

use super::census::Census;

/// Pause after the first failure; doubles with each further one.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
/// Longest pause.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// After so many failures in a row, one sandbox at a time is tried.
const PROBE_AFTER: u32 = 3;

/// Failures in a row.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Backoff {
    failures: u32,
    last: Option<Timestamp>,
    message: String,
}

impl Backoff {
    /// Counts dead members once each (they are deleted right after) and resets
    /// when a sandbox became available since the last failure.
    pub(super) fn observe(&mut self, census: &Census, now: Timestamp) {
        if self
            .last
            .is_some_and(|last| census.newest_available.is_some_and(|available| available > last))
        {
            *self = Self::default();
        }
        if let Some(dead) = census.dead.first() {
            let message = dead.status.as_ref().and_then(|status| status.message.as_deref());
            self.fail(message.unwrap_or("the sandbox failed"), now);
        }
    }

    /// Counts one failure.
    pub(super) fn fail(&mut self, message: &str, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        message.clone_into(&mut self.message);
    }

    /// The earliest time for the next creation.
    pub(super) fn not_before(&self) -> Option<Timestamp> {
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        self.last
            .filter(|_| self.failures > 0)
            .map(|last| last.saturating_add(pause).unwrap_or(last))
    }

    /// Whether so much failed that one sandbox at a time is enough.
    pub(super) fn is_probing(&self) -> bool {
        self.failures >= PROBE_AFTER
    }

    /// Failures in a row and the last one's message.
    pub(super) fn report(&self) -> Option<(u32, &str)> {
        (self.failures > 0).then_some((self.failures, self.message.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_pause_doubles_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.not_before(), None);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            backoff.fail("x", at(0));
            pauses.push(backoff.not_before().unwrap().as_second());
        }
        assert_eq!(pauses[..5], [1, 2, 4, 8, 16]);
        assert_eq!(pauses[39], 300);
    }

    #[test]
    fn only_a_sandbox_that_came_up_after_the_failure_resets() {
        let mut backoff = Backoff::default();
        backoff.fail("x", at(10));
        let before = Census {
            newest_available: Some(at(9)),
            ..Census::default()
        };
        backoff.observe(&before, at(11));
        assert_eq!(backoff.report(), Some((1, "x")));
        let after = Census {
            newest_available: Some(at(12)),
            ..Census::default()
        };
        backoff.observe(&after, at(12));
        assert_eq!(backoff, Backoff::default());
    }
}
