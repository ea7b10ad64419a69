//! Whether the clock here may be believed.

use time::{Duration, OffsetDateTime};

/// How far two clocks of a cluster may be apart. Far less than the hour that a
/// certificate begins in the past.
const LARGEST_SKEW: Duration = Duration::minutes(10);

/// Whether the local clock may date a certificate, given the API server's. A
/// clock that jumped ahead would make one that nobody accepts yet.
pub(super) fn is_plausible(local: OffsetDateTime, server: OffsetDateTime) -> bool {
    (local - server).abs() <= LARGEST_SKEW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_far_from_the_servers_dates_nothing() {
        let server = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for (seconds, expected) in [(0, true), (600, true), (-600, true), (601, false), (-601, false)] {
            let local = server + Duration::seconds(seconds);
            assert_eq!(is_plausible(local, server), expected, "{seconds}");
        }
    }
}
