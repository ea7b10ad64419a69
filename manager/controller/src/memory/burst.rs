//! Lets a burst of claims pass before the pool is refilled; no IO.
//!
//! Starting pods takes the processors and the API server away from those who
//! claim the next sandboxes at the same moment. A pool that still has some can
//! wait for a lull: a pod takes far longer to start than the wait lasts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A burst is over when nothing was taken for so long.
const LULL: SignedDuration = SignedDuration::from_millis(100);
/// A burst that goes on delays no refill for longer.
const LONGEST: SignedDuration = SignedDuration::from_millis(500);

/// What was taken from a pool since it was refilled last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Burst {
    /// Unused members at the last look.
    unused: usize,
    began: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Burst {
    /// Compares the unused members, in creation or available, with those of the last look.
    pub(crate) fn observe(&mut self, unused: usize, now: Timestamp) {
        if unused < self.unused {
            if self.last.is_none_or(|last| now.duration_since(last) >= LULL) {
                self.began = Some(now);
            }
            self.last = Some(now);
        }
        self.unused = unused;
    }

    /// The earliest time for a refill; none when nothing is to wait for, or when the pool has
    /// nothing left for the next claim.
    pub(crate) fn not_before(&self, available: usize) -> Option<Timestamp> {
        let (began, last) = (self.began?, self.last?);
        let later = |time: Timestamp, pause| time.saturating_add(pause).unwrap_or(time);
        (available > 0).then(|| later(last, LULL).min(later(began, LONGEST)))
    }

    /// How long a refill still waits, if it does.
    pub(crate) fn pause(&self, available: usize, now: Timestamp) -> Option<Duration> {
        let left = self.not_before(available)?.duration_since(now);
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }

    /// The pool was refilled.
    pub(crate) fn end(&mut self) {
        self.began = None;
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    #[test]
    fn a_pool_that_grows_or_stays_waits_for_nothing() {
        let mut burst = Burst::default();
        for unused in [0, 5, 5, 9] {
            burst.observe(unused, at(0));
            assert_eq!(burst.not_before(1), None);
        }
    }

    #[test]
    fn a_refill_waits_for_a_lull() {
        let mut burst = Burst::default();
        burst.observe(10, at(0));
        burst.observe(9, at(1000));
        assert_eq!(burst.not_before(9), Some(at(1100)));
        assert_eq!(burst.pause(9, at(1099)), Some(Duration::from_millis(1)));
        assert_eq!(burst.pause(9, at(1100)), None);
        burst.observe(8, at(1050));
        assert_eq!(burst.not_before(8), Some(at(1150)));
        burst.end();
        assert_eq!(burst.not_before(8), None);
    }

    #[test]
    fn claims_without_end_delay_a_refill_only_so_long() {
        let mut burst = Burst::default();
        for (unused, time) in [(10, 0), (9, 10), (8, 90), (7, 170), (6, 250), (5, 330), (4, 425)] {
            burst.observe(unused, at(time));
        }
        assert_eq!(burst.not_before(4), Some(at(510)));
    }

    #[test]
    fn a_burst_that_no_refill_has_ended_does_not_shorten_the_next_one() {
        let mut burst = Burst::default();
        for (unused, time) in [(10, 0), (9, 10), (8, 2000)] {
            burst.observe(unused, at(time));
        }
        assert_eq!(burst.not_before(8), Some(at(2100)));
    }

    #[test]
    fn an_empty_pool_is_refilled_at_once() {
        let mut burst = Burst::default();
        burst.observe(1, at(0));
        burst.observe(0, at(10));
        assert_eq!(burst.not_before(0), None);
    }
}
