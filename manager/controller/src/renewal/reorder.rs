//! When the CA of an official certificate may be asked again after an order
//! that failed. Pure: time and chance are parameters.

use std::time::Duration;

use tokio::time::Instant;

/// Pause after the first failed order; doubles with each further one. Let's
/// Encrypt takes five failed proofs of a name in an hour: this makes four.
const FIRST_PAUSE: Duration = Duration::from_mins(5);
/// A third of a certificate's life is left for trials.
const LONGEST_PAUSE: Duration = Duration::from_hours(4);
/// Chance may add this part: many installations may fail at the same moment.
const JITTER: f64 = 0.25;
/// But not more than this.
const LONGEST_JITTER: Duration = Duration::from_hours(1);
/// A CA that wants more than a week is taken to mean a week, which is the longest
/// window of any limit that is known.
const LONGEST_WISH: Duration = Duration::from_hours(7 * 24);

/// What failed orders leave behind.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    /// In a row.
    failures: u32,
    /// Not before, for our own sake.
    pause: Option<Instant>,
    /// Not before, because the CA said so.
    wish: Option<Instant>,
}

impl Reorder {
    /// How long the next order has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let until = |moment: Option<Instant>| {
            moment.map_or(Duration::ZERO, |moment| moment.saturating_duration_since(now))
        };
        until(self.pause).max(until(self.wish))
    }

    /// Notes that an order failed, and how long the CA `wants` to be left alone.
    /// `chance` is between 0 and 1.
    pub(super) fn failed(&mut self, now: Instant, wants: Option<Duration>, chance: f64) {
        self.failures = self.failures.saturating_add(1);
        let spread =
            |pause: Duration| pause + pause.mul_f64(JITTER * chance.clamp(0.0, 1.0)).min(LONGEST_JITTER);
        let doublings = (self.failures - 1).min(16);
        let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
        self.pause = Some(now + spread(pause));
        if let Some(wants) = wants {
            self.wish = Some(now + spread(wants.min(LONGEST_WISH)));
        }
    }

    /// Whatever failed was changed: it is tried at once, unless the CA has said
    /// when.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
        self.pause = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_four_hours_and_chance_adds_a_quarter() {
        let start = Instant::now();
        let mut reorder = Reorder::default();
        assert_eq!(reorder.wait(start), Duration::ZERO);
        for minutes in [5, 10, 20, 40, 80, 160, 240, 240] {
            reorder.failed(start, None, 0.0);
            assert_eq!(reorder.wait(start), Duration::from_mins(minutes));
        }
        reorder.failed(start, None, 1.0);
        assert_eq!(reorder.wait(start), Duration::from_hours(5));
        assert_eq!(reorder.wait(start + Duration::from_hours(5)), Duration::ZERO);
    }

    #[test]
    fn five_failures_do_not_fit_into_an_hour() {
        let (start, mut now, mut orders) = (Instant::now(), Instant::now(), 0);
        let mut reorder = Reorder::default();
        while now < start + Duration::from_hours(1) {
            orders += 1;
            reorder.failed(now, None, 0.0);
            now += reorder.wait(now);
        }
        assert_eq!(orders, 4);
    }

    #[test]
    fn the_ca_is_not_asked_before_it_wants_to_be() {
        let start = Instant::now();
        let mut reorder = Reorder::default();
        reorder.failed(start, Some(Duration::from_hours(30)), 0.0);
        assert_eq!(reorder.wait(start), Duration::from_hours(30));
        // Also when somebody changed the settings.
        reorder.forgive();
        assert_eq!(reorder.wait(start), Duration::from_hours(30));
        // A short wish does not make us impatient.
        let mut reorder = Reorder::default();
        reorder.failed(start, Some(Duration::from_secs(1)), 0.0);
        assert_eq!(reorder.wait(start), FIRST_PAUSE);
    }

    #[test]
    fn what_was_changed_is_tried_at_once() {
        let start = Instant::now();
        let mut reorder = Reorder::default();
        reorder.failed(start, None, 0.0);
        reorder.forgive();
        assert_eq!(reorder.wait(start), Duration::ZERO);
    }

    #[test]
    fn a_ca_that_means_never_is_asked_in_a_week() {
        let start = Instant::now();
        let mut reorder = Reorder::default();
        reorder.failed(start, Some(Duration::MAX), 0.0);
        assert_eq!(reorder.wait(start), LONGEST_WISH);
    }
}
