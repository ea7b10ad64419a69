//! What becomes of a sandbox at its timeout, and the fields that carry the deadline.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::timeout;

/// What happens at the end of the timeout.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnTimeout {
    /// The sandbox is deleted.
    #[default]
    Kill,
    /// The sandbox is paused and kept.
    Pause,
}

impl OnTimeout {
    /// Reads the word of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Kill, Self::Pause]
            .into_iter()
            .find(|what| what.as_str() == text)
    }

    /// What the claim wrote down. Without it, as on objects that others made, the
    /// kind of the deadline decides.
    pub fn choose(written: Option<Self>, has_pause_time: bool) -> Self {
        written.unwrap_or(if has_pause_time { Self::Pause } else { Self::Kill })
    }

    /// The word for it in annotations and answers of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
        }
    }

    /// The fields of `spec` that carry this deadline; nothing clears both.
    pub fn render_deadline(self, deadline: Option<Timestamp>) -> Value {
        let deadline = deadline.map(timeout::format);
        match self {
            Self::Kill => json!({ "shutdownTime": deadline, "pauseTime": null }),
            Self::Pause => json!({ "shutdownTime": null, "pauseTime": deadline }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_at_the_timeout_outlives_the_deadline() {
        let choose = |text, has_pause_time| OnTimeout::choose(OnTimeout::parse(text), has_pause_time);
        assert_eq!(choose("pause", false), OnTimeout::Pause);
        assert_eq!(choose("kill", true), OnTimeout::Kill);
        assert_eq!(choose("", true), OnTimeout::Pause);
        assert_eq!(choose("", false), OnTimeout::Kill);
    }
}
