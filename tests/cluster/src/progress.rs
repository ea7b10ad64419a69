//! Progress lines: what was done and how long it took.

use std::time::{Duration, Instant};

/// Prints one line for a step that has ended.
pub fn done(step: &str, since: Instant) {
    println!("  {step:<44} {:>8}", seconds(since.elapsed()));
}

/// Prints one line for a step that takes long and starts now.
pub fn starting(step: &str) {
    println!("  {step}");
}

/// `1.2 s`, or `3 min 20 s` from two minutes on.
pub fn seconds(duration: Duration) -> String {
    if duration.as_secs() < 120 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_shown_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }
}
