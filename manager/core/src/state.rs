//! What clients see of a sandbox's life: it runs, it is paused, or it is gone.

use jiff::Timestamp;
use silica_api::crd::Phase;

use crate::timeout;

/// State in answers of the API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// `running`
    Running,
    /// `paused`
    Paused,
}

impl State {
    /// The word that SDKs parse; any other word breaks their lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
        }
    }

    /// The inverse of [`State::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Paused]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// The facts about a Sandbox that decide about its state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// `status.phase`
    pub phase: Option<Phase>,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `spec.paused`
    pub pause_asked: bool,
    /// `spec.shutdownTime`
    pub shutdown_time: Option<Timestamp>,
}

/// The state of a sandbox, nothing when it is gone. A past deadline counts at
/// once, whether or not the controller has acted on it.
pub fn observe(facts: Facts, now: Timestamp) -> Option<State> {
    if facts.deleting || timeout::is_past(facts.shutdown_time, now) {
        return None;
    }
    match facts.phase {
        Some(Phase::Failed | Phase::Succeeded | Phase::Terminating) => None,
        Some(Phase::Paused) => Some(State::Paused),
        _ if facts.pause_asked => Some(State::Paused),
        _ => Some(State::Running),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(phase: Phase) -> Facts {
        Facts {
            phase: Some(phase),
            ..Facts::default()
        }
    }

    #[test]
    fn terminal_and_deleted_sandboxes_are_gone() {
        let now = Timestamp::UNIX_EPOCH;
        for gone in [Phase::Failed, Phase::Succeeded, Phase::Terminating] {
            assert_eq!(observe(phase(gone), now), None);
        }
        assert_eq!(
            observe(
                Facts {
                    deleting: true,
                    ..phase(Phase::Running)
                },
                now
            ),
            None
        );
    }

    #[test]
    fn a_past_deadline_counts_before_the_controller_acts() {
        let now = Timestamp::from_second(10).unwrap();
        assert_eq!(
            observe(
                Facts {
                    shutdown_time: Some(now),
                    ..phase(Phase::Running)
                },
                now
            ),
            None
        );
    }

    #[test]
    fn only_two_words_leave() {
        let now = Timestamp::UNIX_EPOCH;
        for running in [Phase::Pending, Phase::Running, Phase::Resuming, Phase::Upgrading] {
            assert_eq!(observe(phase(running), now), Some(State::Running));
        }
        assert_eq!(observe(phase(Phase::Paused), now), Some(State::Paused));
        assert_eq!(
            observe(
                Facts {
                    pause_asked: true,
                    ..phase(Phase::Running)
                },
                now
            ),
            Some(State::Paused)
        );
        assert_eq!(State::parse("paused"), Some(State::Paused));
        assert_eq!(State::parse("pending"), None);
    }
}
