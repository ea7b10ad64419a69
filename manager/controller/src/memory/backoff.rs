//! Slows a pool down whose sandboxes fail, so that a broken template cannot
//! make them in a hot loop; no IO.

use jiff::{SignedDuration, Timestamp};

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
    /// Counts `dead`, the message of a member that failed (it is deleted right after),
    /// and starts over when a sandbox became available since the last failure.
    pub(crate) fn observe(
        &mut self,
        newest_available: Option<Timestamp>,
        dead: Option<&str>,
        now: Timestamp,
    ) {
        if self
            .last
            .is_some_and(|last| newest_available.is_some_and(|available| available > last))
        {
            *self = Self::default();
        }
        if let Some(message) = dead {
            self.fail(message, now);
        }
    }

    /// Counts one failure.
    pub(crate) fn fail(&mut self, message: &str, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        message.clone_into(&mut self.message);
    }

    /// The earliest time for the next creation.
    pub(crate) fn not_before(&self) -> Option<Timestamp> {
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        self.last
            .filter(|_| self.failures > 0)
            .map(|last| last.saturating_add(pause).unwrap_or(last))
    }

    /// Whether so much failed that one sandbox at a time is enough.
    pub(crate) fn is_probing(&self) -> bool {
        self.failures >= PROBE_AFTER
    }

    /// Failures in a row and the last one's message.
    pub(crate) fn report(&self) -> Option<(u32, &str)> {
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
        backoff.observe(Some(at(9)), None, at(11));
        assert_eq!(backoff.report(), Some((1, "x")));
        backoff.observe(Some(at(12)), None, at(12));
        assert_eq!(backoff, Backoff::default());
    }

    #[test]
    fn a_dead_member_counts_after_the_ones_that_came_up_before_it() {
        let mut backoff = Backoff::default();
        backoff.fail("x", at(10));
        backoff.observe(None, Some("y"), at(11));
        assert_eq!(backoff.report(), Some((2, "y")));
        backoff.observe(Some(at(12)), Some("z"), at(13));
        assert_eq!(backoff.report(), Some((1, "z")));
    }
}
