//! The order in which a CA is replaced while clients go on working: trust
//! first, issue second, distrust last.
//!
//! | Phase | The cluster | Clients with the old CA only |
//! |---|---|---|
//! | prepare | has the next CA, and both in the trust bundle | work |
//! | spread | waits until consumers read the bundle again | work |
//! | switch | serves a leaf of the next CA behind its cross certificate | work |
//! | soak | waits until nothing of the old CA's is in use | work |
//! | retire | trusts and keeps the next CA only | refuse |
//!
//! Pure: the state and the time go in, the step to do comes out. Every phase
//! before retire can be undone, since both keys are kept.

use std::fmt;
use std::str::FromStr;

use time::{Duration, OffsetDateTime};

/// How long consumers inside of the cluster may take to read a changed bundle:
/// the kubelet refreshes mounted ConfigMaps about once a minute.
pub const SPREAD: Duration = Duration::minutes(2);

/// How far a rotation got.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// The next CA is made and published.
    Prepare,
    /// Consumers have read the new bundle.
    Spread,
    /// The next CA's leaf is served.
    Switch,
    /// Nothing of the old CA's is in use any more.
    Soak,
    /// The old CA is no longer trusted.
    Retire,
}

/// The text names no phase.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no phase; prepare, spread, switch, soak and retire are")]
pub struct UnknownPhase(String);

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [
        Self::Prepare,
        Self::Spread,
        Self::Switch,
        Self::Soak,
        Self::Retire,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Spread => "spread",
            Self::Switch => "switch",
            Self::Soak => "soak",
            Self::Retire => "retire",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(text: &str) -> Result<Self, UnknownPhase> {
        let named = Self::ALL.into_iter().find(|phase| phase.as_str() == text);
        named.ok_or_else(|| UnknownPhase(text.to_owned()))
    }
}

/// A rotation that is under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    /// The last phase that was completed.
    pub done: Phase,
    /// When that was.
    pub since: OffsetDateTime,
    /// End of the last leaf that the old CA issued.
    pub old_leaf_until: OffsetDateTime,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// Whatever comes next, but never retire: clients must have the new bundle
    /// before, and only the user knows.
    Automatic,
    /// This phase, and it only. Asking for soak or retire by name is the user's
    /// word that waiting is over.
    Step(Phase),
    /// Back to the old CA.
    Abort,
}

/// What to do now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Do this phase.
    Do(Phase),
    /// Nothing before this moment.
    WaitUntil(OffsetDateTime),
    /// Put the old CA back; it is served again, so its leaf has to be.
    Restore {
        /// Whether the served certificate has to be replaced.
        serves_next: bool,
    },
    /// All is done that goes without the user's word.
    AwaitRetire,
    /// What was asked for is the case already.
    Nothing,
}

/// Why a request cannot be followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A phase in between is missing.
    #[error("phase {missing} comes before {asked}")]
    OutOfOrder {
        /// The phase that was asked for.
        asked: Phase,
        /// The phase that has to be done first.
        missing: Phase,
    },
    /// The old CA is gone.
    #[error("the former CA is retired; there is nothing to go back to")]
    Retired,
}

/// Decides. `None` is the state without any rotation.
pub fn next(state: Option<&State>, request: Request, now: OffsetDateTime) -> Result<Action, Refusal> {
    let done = state.map(|state| state.done);
    match (request, state) {
        (Request::Abort, None) => Ok(Action::Nothing),
        (Request::Abort, Some(state)) if state.done == Phase::Retire => Err(Refusal::Retired),
        (Request::Abort, Some(state)) => Ok(Action::Restore {
            serves_next: state.done >= Phase::Switch,
        }),
        (Request::Automatic, state) => Ok(automatic(state, now)),
        (Request::Step(asked), _) => match following(done) {
            _ if done >= Some(asked) => Ok(Action::Nothing),
            Some(due) if due == asked => Ok(Action::Do(asked)),
            Some(missing) => Err(Refusal::OutOfOrder { asked, missing }),
            None => Ok(Action::Nothing),
        },
    }
}

fn following(done: Option<Phase>) -> Option<Phase> {
    Phase::ALL.into_iter().find(|phase| done < Some(*phase))
}

fn automatic(state: Option<&State>, now: OffsetDateTime) -> Action {
    let Some(state) = state else {
        return Action::Do(Phase::Prepare);
    };
    let after = |moment: OffsetDateTime, phase| {
        if now >= moment {
            Action::Do(phase)
        } else {
            Action::WaitUntil(moment)
        }
    };
    match state.done {
        Phase::Prepare => after(state.since.saturating_add(SPREAD), Phase::Spread),
        Phase::Spread => Action::Do(Phase::Switch),
        Phase::Switch => after(state.old_leaf_until, Phase::Soak),
        Phase::Soak => Action::AwaitRetire,
        Phase::Retire => Action::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn state(done: Phase) -> State {
        State {
            done,
            since: START,
            old_leaf_until: START + Duration::days(60),
        }
    }

    #[test]
    fn automatic_mode_goes_through_all_phases_and_stops_before_retire() {
        let table = [
            (None, Duration::ZERO, Action::Do(Phase::Prepare)),
            (
                Some(Phase::Prepare),
                Duration::SECOND,
                Action::WaitUntil(START + SPREAD),
            ),
            (Some(Phase::Prepare), SPREAD, Action::Do(Phase::Spread)),
            (Some(Phase::Spread), Duration::ZERO, Action::Do(Phase::Switch)),
            (
                Some(Phase::Switch),
                Duration::days(59),
                Action::WaitUntil(START + Duration::days(60)),
            ),
            (Some(Phase::Switch), Duration::days(60), Action::Do(Phase::Soak)),
            (Some(Phase::Soak), Duration::days(999), Action::AwaitRetire),
            (Some(Phase::Retire), Duration::days(999), Action::Nothing),
        ];
        for (done, passed, expected) in table {
            let state = done.map(state);
            let action = next(state.as_ref(), Request::Automatic, START + passed);
            assert_eq!(action, Ok(expected), "{done:?} after {passed}");
        }
    }

    #[test]
    fn a_step_is_done_once_and_never_out_of_order() {
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            let before = index.checked_sub(1).map(|index| state(Phase::ALL[index]));
            let ask = |state: Option<&State>, phase| next(state, Request::Step(phase), START);
            assert_eq!(ask(before.as_ref(), phase), Ok(Action::Do(phase)));
            assert_eq!(ask(Some(&state(phase)), phase), Ok(Action::Nothing));
            for later in Phase::ALL.into_iter().skip(index + 1) {
                let refused = Err(Refusal::OutOfOrder {
                    asked: later,
                    missing: phase,
                });
                assert_eq!(ask(before.as_ref(), later), refused);
            }
        }
    }

    #[test]
    fn every_phase_but_the_last_can_be_undone() {
        let abort = |state: Option<&State>| next(state, Request::Abort, START);
        assert_eq!(abort(None), Ok(Action::Nothing));
        for (phase, serves_next) in [
            (Phase::Prepare, false),
            (Phase::Spread, false),
            (Phase::Switch, true),
            (Phase::Soak, true),
        ] {
            assert_eq!(abort(Some(&state(phase))), Ok(Action::Restore { serves_next }));
        }
        assert_eq!(abort(Some(&state(Phase::Retire))), Err(Refusal::Retired));
    }

    #[test]
    fn a_clock_that_went_back_only_waits_longer() {
        let early = START - Duration::days(400);
        let action = next(Some(&state(Phase::Switch)), Request::Automatic, early);
        assert_eq!(action, Ok(Action::WaitUntil(START + Duration::days(60))));
    }

    #[test]
    fn names_of_phases_are_read_back() {
        for phase in Phase::ALL {
            assert_eq!(phase.to_string().parse(), Ok(phase));
        }
        assert!("Retire".parse::<Phase>().is_err());
    }
}
