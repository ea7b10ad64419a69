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
        "the CA is not the one that the rotation began with; undo the rotation with --abort, then begin again"
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

/// Whether a request ends with this phase. A new state after the last one would
/// look like the state before any rotation, and another one would begin.
pub fn ends_with(asked: Request, done: Phase) -> bool {
    matches!(asked, Request::Step(_)) || done == Phase::Retire
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
mod tests;
