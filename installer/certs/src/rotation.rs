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
//! Pure: the state and the time go in, the step to do comes out; [`material`]
//! turns a step into the writes that it consists of, [`record`] is the form in
//! which the state is kept. Every phase before retire can be undone, since both
//! keys are kept.

pub mod material;
pub mod record;

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

/// Where a rotation is heading. Retiring and going back consist of several
/// writes: begun, they can only be finished.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Course {
    /// Phase by phase to the next CA.
    #[default]
    Ahead,
    /// The former CA is being retired.
    Retiring,
    /// The next CA is being withdrawn.
    Undoing,
}

/// A rotation that is under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    /// The last phase that was completed; `None` while the first is not.
    pub done: Option<Phase>,
    /// Where it is heading.
    pub course: Course,
    /// When the last phase was completed.
    pub since: OffsetDateTime,
    /// End of the last leaf that the old CA issued.
    pub old_leaf_until: OffsetDateTime,
}

/// How long the phases that wait take, and whether the last one needs a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waits {
    /// From prepare to spread.
    pub spread: Duration,
    /// From switch to soak, at least.
    pub soak: Duration,
    /// Whether the soak lasts until the last leaf of the old CA has ended, too.
    pub outlives_leaf: bool,
    /// Whether the old CA is retired after the soak. Otherwise that is left to
    /// the user: clients must have the new bundle before, and only they know.
    pub retires: bool,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            spread: SPREAD,
            soak: Duration::ZERO,
            outlives_leaf: true,
            retires: false,
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// Whatever comes next.
    Automatic(Waits),
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
    /// Put the old CA back.
    Restore,
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
    /// The way back has begun.
    #[error("the rotation is being undone; finish that first, with --abort")]
    BeingUndone,
    /// Somebody has put another CA into the old one's place.
    #[error(
        "the CA is not the one that the rotation began with; undo the rotation with --abort, then begin anew"
    )]
    OtherAuthority,
}

/// Decides. `None` is the state without any rotation.
pub fn next(state: Option<&State>, request: Request, now: OffsetDateTime) -> Result<Action, Refusal> {
    let course = state.map(|state| state.course).unwrap_or_default();
    let done = state.and_then(|state| state.done);
    match (course, request) {
        (Course::Ahead, Request::Abort) if state.is_none() => Ok(Action::Nothing),
        (Course::Retiring, Request::Abort) => Err(Refusal::Retired),
        (_, Request::Abort) if done == Some(Phase::Retire) => Err(Refusal::Retired),
        (Course::Undoing, Request::Step(_)) => Err(Refusal::BeingUndone),
        (Course::Undoing, Request::Automatic(_)) | (_, Request::Abort) => Ok(Action::Restore),
        (Course::Retiring, Request::Automatic(_) | Request::Step(Phase::Retire)) => {
            Ok(Action::Do(Phase::Retire))
        }
        (Course::Retiring, Request::Step(_)) => Ok(Action::Nothing),
        (Course::Ahead, Request::Automatic(waits)) => Ok(automatic(state, waits, now)),
        (Course::Ahead, Request::Step(asked)) => match following(done) {
            _ if done >= Some(asked) => Ok(Action::Nothing),
            Some(due) if due == asked => Ok(Action::Do(asked)),
            Some(missing) => Err(Refusal::OutOfOrder { asked, missing }),
            None => Ok(Action::Nothing),
        },
    }
}

/// The phase after this one.
pub fn following(done: Option<Phase>) -> Option<Phase> {
    Phase::ALL.into_iter().find(|phase| done < Some(*phase))
}

fn automatic(state: Option<&State>, waits: Waits, now: OffsetDateTime) -> Action {
    let Some((state, done)) = state.and_then(|state| Some((state, state.done?))) else {
        return Action::Do(Phase::Prepare);
    };
    let after = |moment: OffsetDateTime, phase| {
        if now >= moment {
            Action::Do(phase)
        } else {
            Action::WaitUntil(moment)
        }
    };
    match done {
        Phase::Prepare => after(state.since.saturating_add(waits.spread), Phase::Spread),
        Phase::Spread => Action::Do(Phase::Switch),
        Phase::Switch => {
            let soaked = state.since.saturating_add(waits.soak);
            let end = if waits.outlives_leaf {
                soaked.max(state.old_leaf_until)
            } else {
                soaked
            };
            after(end, Phase::Soak)
        }
        Phase::Soak if waits.retires => Action::Do(Phase::Retire),
        Phase::Soak => Action::AwaitRetire,
        Phase::Retire => Action::Nothing,
    }
}

/// Who signs the served certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signer {
    /// The CA of the installation.
    Former,
    /// The next CA, with its cross certificate in the chain.
    NextBehindCross,
    /// The next CA, alone.
    Next,
}

/// Who signs in this state: whoever renews the served certificate in the
/// middle of a rotation has to stay in step with it.
pub fn signer(state: Option<&State>) -> Signer {
    let done = state.and_then(|state| state.done);
    match (state.map(|state| state.course).unwrap_or_default(), done) {
        (Course::Retiring, _) | (Course::Ahead, Some(Phase::Retire)) => Signer::Next,
        (Course::Ahead, Some(Phase::Switch | Phase::Soak)) => Signer::NextBehindCross,
        (Course::Undoing, _) | (Course::Ahead, None | Some(Phase::Prepare | Phase::Spread)) => Signer::Former,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const BY_HAND: Waits = Waits {
        spread: SPREAD,
        soak: Duration::ZERO,
        outlives_leaf: true,
        retires: false,
    };

    fn state(done: Phase) -> State {
        State {
            done: Some(done),
            course: Course::Ahead,
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
            let action = next(state.as_ref(), Request::Automatic(BY_HAND), START + passed);
            assert_eq!(action, Ok(expected), "{done:?} after {passed}");
        }
    }

    #[test]
    fn a_soak_lasts_as_long_as_was_asked_and_without_a_word_the_old_ca_is_retired() {
        let soak = |days, outlives_leaf| Waits {
            soak: Duration::days(days),
            outlives_leaf,
            retires: true,
            ..BY_HAND
        };
        let switched = state(Phase::Switch);
        for (waits, end) in [(soak(90, true), 90), (soak(7, true), 60), (soak(7, false), 7)] {
            let action = next(Some(&switched), Request::Automatic(waits), START);
            assert_eq!(
                action,
                Ok(Action::WaitUntil(START + Duration::days(end))),
                "{waits:?}"
            );
        }
        let action = next(
            Some(&state(Phase::Soak)),
            Request::Automatic(soak(7, true)),
            START,
        );
        assert_eq!(action, Ok(Action::Do(Phase::Retire)));
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
        let unfinished = State {
            done: None,
            ..state(Phase::Prepare)
        };
        assert_eq!(abort(Some(&unfinished)), Ok(Action::Restore));
        for phase in [Phase::Prepare, Phase::Spread, Phase::Switch, Phase::Soak] {
            assert_eq!(abort(Some(&state(phase))), Ok(Action::Restore));
        }
        assert_eq!(abort(Some(&state(Phase::Retire))), Err(Refusal::Retired));
    }

    #[test]
    fn what_was_begun_in_several_writes_is_finished_first() {
        let heading = |course| State {
            course,
            ..state(Phase::Soak)
        };
        let ask = |course, request| next(Some(&heading(course)), request, START);
        for request in [Request::Automatic(BY_HAND), Request::Abort] {
            assert_eq!(ask(Course::Undoing, request), Ok(Action::Restore));
        }
        assert_eq!(
            ask(Course::Undoing, Request::Step(Phase::Retire)),
            Err(Refusal::BeingUndone)
        );
        for request in [Request::Automatic(BY_HAND), Request::Step(Phase::Retire)] {
            assert_eq!(ask(Course::Retiring, request), Ok(Action::Do(Phase::Retire)));
        }
        assert_eq!(ask(Course::Retiring, Request::Abort), Err(Refusal::Retired));
    }

    #[test]
    fn the_phase_says_who_signs() {
        assert_eq!(signer(None), Signer::Former);
        for (phase, expected) in Phase::ALL.into_iter().zip([
            Signer::Former,
            Signer::Former,
            Signer::NextBehindCross,
            Signer::NextBehindCross,
            Signer::Next,
        ]) {
            assert_eq!(signer(Some(&state(phase))), expected, "{phase}");
            let undoing = State {
                course: Course::Undoing,
                ..state(phase)
            };
            assert_eq!(signer(Some(&undoing)), Signer::Former, "{phase}");
        }
    }

    #[test]
    fn a_clock_that_went_back_only_waits_longer() {
        let early = START - Duration::days(400);
        let action = next(Some(&state(Phase::Switch)), Request::Automatic(BY_HAND), early);
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
