//! Flags that several commands take, and the grammar of durations.

use std::{ops::RangeInclusive, time::Duration};

use clap::Args;
use jiff::SignedDuration;

use crate::cli::report::Output;

/// Above a year, clocks further down overflow.
const LIMITS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(8760);

/// Form of the results. Not global, because `certs generate -o` names a folder,
/// as in the scripts that it replaces.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Format {
    /// Form of the results on standard output
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// Reads `90s`, `5m`, `1h30m` or a bare number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => text
            .parse::<SignedDuration>()
            .map_err(|_| "expected numbers with s, m or h, for example 90s, 5m or 1h30m")?
            .try_into()
            .ok(),
    };
    parsed
        .filter(|duration| LIMITS.contains(duration))
        .ok_or_else(|| "expected a duration between 1s and 8760h".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_known_unit_and_a_sane_size() {
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("8760h"), Ok(Duration::from_hours(8760)));
        for bad in [
            "",
            "m",
            "5d",
            "0",
            "0s",
            "-1s",
            "500ms",
            "8761h",
            "99999999999999999999s",
            "5 parsecs",
        ] {
            assert!(duration(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
