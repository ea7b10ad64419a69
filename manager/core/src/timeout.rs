//! Deadlines of sandboxes.

use jiff::{SignedDuration, Timestamp};

/// Timeout of a v2 create or connect call that names none, in seconds.
pub const DEFAULT_SECONDS: i64 = 300;
/// Timeout of a v1 create call that names none, in seconds.
pub const DEFAULT_SECONDS_V1: i64 = 15;
/// Longest `duration` of a refresh call, in seconds.
pub const MAX_REFRESH_SECONDS: i64 = 3600;

/// Why a timeout is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Zero or negative where a sandbox shall live.
    #[error("timeout must be greater than 0 seconds, got {0}")]
    NotPositive(i64),
    /// Above the limit of the installation.
    #[error("timeout must not exceed {max} seconds, got {asked}")]
    TooLong { asked: i64, max: i64 },
}

/// A timeout that was checked against the limit of the installation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeout(SignedDuration);

impl Timeout {
    /// Checks the seconds of a request.
    pub fn new(seconds: i64, max: i64) -> Result<Self, Error> {
        if seconds <= 0 {
            return Err(Error::NotPositive(seconds));
        }
        if seconds > max {
            return Err(Error::TooLong { asked: seconds, max });
        }
        Ok(Self(SignedDuration::from_secs(seconds)))
    }

    /// Its length.
    pub fn seconds(self) -> i64 {
        self.0.as_secs()
    }

    /// The deadline when the clock starts now.
    pub fn deadline(self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.0).unwrap_or(Timestamp::MAX)
    }

    /// The deadline to write so that the sandbox lives at least this long from
    /// now, or nothing when it does so already: connecting never shortens a life.
    pub fn extension(self, now: Timestamp, current: Option<Timestamp>) -> Option<Timestamp> {
        let wanted = self.deadline(now);
        current.filter(|current| *current < wanted).map(|_| wanted)
    }
}

/// Whether a deadline has passed.
pub fn is_past(deadline: Option<Timestamp>, now: Timestamp) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

/// RFC 3339 with milliseconds, the precision of stored times.
pub fn format(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn timeouts_outside_the_limits_are_refused() {
        assert_eq!(Timeout::new(0, 10), Err(Error::NotPositive(0)));
        assert_eq!(Timeout::new(-1, 10), Err(Error::NotPositive(-1)));
        assert_eq!(Timeout::new(11, 10), Err(Error::TooLong { asked: 11, max: 10 }));
        assert_eq!(Timeout::new(10, 10).unwrap().deadline(at(5)), at(15));
    }

    #[test]
    fn connecting_extends_but_never_shortens() {
        let timeout = Timeout::new(300, 1000).unwrap();
        assert_eq!(timeout.extension(at(0), Some(at(100))), Some(at(300)));
        assert_eq!(timeout.extension(at(0), Some(at(300))), None);
        assert_eq!(timeout.extension(at(0), Some(at(900))), None);
        assert_eq!(
            timeout.extension(at(0), None),
            None,
            "a sandbox without deadline gets none"
        );
    }

    #[test]
    fn a_deadline_is_past_from_its_own_moment_on() {
        assert!(is_past(Some(at(5)), at(5)));
        assert!(!is_past(Some(at(5)), at(4)));
        assert!(!is_past(None, at(5)));
    }

    #[test]
    fn absurd_timeouts_saturate() {
        assert_eq!(
            Timeout::new(i64::MAX, i64::MAX).unwrap().deadline(at(0)),
            Timestamp::MAX
        );
    }

    #[test]
    fn times_are_formatted_with_milliseconds() {
        assert_eq!(
            format(Timestamp::from_millisecond(1_500).unwrap()),
            "1970-01-01T00:00:01.500Z"
        );
    }
}
