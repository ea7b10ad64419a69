//! When to look at the certificates again. Pure: the chance is a parameter.

use std::time::Duration;

use tokio::time::Instant;

/// The longest sleep. A timer does not notice that the clock was set or that
/// the machine was suspended; this bounds how late that is seen.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_hours(1);
/// Pause after the first failure; doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// The longest pause after a failure.
const LONGEST_RETRY: Duration = Duration::from_mins(15);
/// Part of the remaining time that chance may add, so that many installations
/// made together do not renew together. Small against the last third of a life.
const JITTER: f64 = 0.05;

/// How long to sleep until something that is due in `remaining`. `chance` is
/// between 0 and 1.
pub(super) fn until_due(remaining: Duration, chance: f64) -> Duration {
    let remaining = remaining.min(LONGEST_SLEEP);
    (remaining + remaining.mul_f64(JITTER * chance.clamp(0.0, 1.0))).min(LONGEST_SLEEP)
}

/// How long to wait after the last of `failures` failures in a row.
pub(super) fn until_retry(failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let pause = (FIRST_RETRY * 2_u32.pow(doublings)).min(LONGEST_RETRY);
    pause + pause.mul_f64(JITTER * chance.clamp(0.0, 1.0))
}

/// Keeps renewals apart when something else keeps putting an old certificate
/// back, as a tool does that holds the Secret in a repository.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Without a pause of [`CALM`] between them.
    renewals: u32,
    last: Option<Instant>,
}

/// After this time without a renewal the count begins again.
const CALM: Duration = Duration::from_hours(1);
/// Renewals without a pause: one by time, and one for a CA that is replaced.
const FREE_RENEWALS: u32 = 2;

impl Pace {
    /// How long the next renewal has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let Some(last) = self.last.filter(|_| self.renewals >= FREE_RENEWALS) else {
            return Duration::ZERO;
        };
        let next = last + until_retry(self.renewals + 1 - FREE_RENEWALS, 0.0);
        next.saturating_duration_since(now)
    }

    /// Counts a renewal; returns how many came in a row.
    pub(super) fn note(&mut self, now: Instant) -> u32 {
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) > CALM)
        {
            self.renewals = 0;
        }
        self.renewals += 1;
        self.last = Some(now);
        self.renewals
    }

    /// Whether somebody should ask who writes the certificate.
    pub(super) fn is_contended(&self) -> bool {
        self.renewals > FREE_RENEWALS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_in_a_row_are_kept_apart_and_forgotten_after_an_hour() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.wait(start), Duration::ZERO);
        pace.note(start);
        assert_eq!(pace.wait(start), Duration::ZERO);
        let mut waits = Vec::new();
        for _ in 0..3 {
            pace.note(start);
            waits.push(pace.wait(start).as_secs());
        }
        assert_eq!(waits, [5, 10, 20]);
        assert!(pace.is_contended());
        let calm = start + Duration::from_hours(2);
        assert_eq!(pace.wait(calm), Duration::ZERO);
        assert_eq!(pace.note(calm), 1);
        assert!(!pace.is_contended());
    }

    #[test]
    fn no_sleep_is_longer_than_an_hour() {
        for chance in [0.0, 1.0] {
            assert_eq!(until_due(Duration::MAX, chance), LONGEST_SLEEP);
            assert_eq!(until_due(Duration::from_mins(59), 1.0), LONGEST_SLEEP);
            assert!(until_retry(u32::MAX, chance) < LONGEST_SLEEP);
        }
    }

    #[test]
    fn chance_adds_at_most_a_twentieth() {
        let remaining = Duration::from_mins(20);
        assert_eq!(until_due(remaining, 0.0), remaining);
        assert_eq!(until_due(remaining, 1.0), Duration::from_mins(21));
        assert_eq!(until_due(remaining, 7.0), Duration::from_mins(21));
    }

    #[test]
    fn what_is_due_is_not_waited_for() {
        assert_eq!(until_due(Duration::ZERO, 1.0), Duration::ZERO);
    }

    #[test]
    fn pauses_after_failures_double_up_to_a_quarter_of_an_hour() {
        let pauses = [1, 2, 3, 8, 9, 100].map(|failures| until_retry(failures, 0.0).as_secs());
        assert_eq!(pauses, [5, 10, 20, 640, 900, 900]);
    }
}
