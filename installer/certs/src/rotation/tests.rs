//! What the order of the phases allows, and how long each waits.

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

/// Whoever follows a request until it is done comes to an end, also from the middle of
/// the last phase: that the state is gone then must not begin another rotation.
#[test]
fn a_retirement_that_is_finished_begins_nothing() {
    for done in [Some(Phase::Soak), None] {
        let retiring = State {
            done,
            course: Course::Retiring,
            ..state(Phase::Soak)
        };
        for asked in [Request::Automatic(BY_HAND), Request::Step(Phase::Retire)] {
            assert_eq!(next(Some(&retiring), asked, START), Ok(Action::Do(Phase::Retire)));
            assert!(ends_with(asked, Phase::Retire));
        }
    }
    assert!(!ends_with(Request::Automatic(BY_HAND), Phase::Soak));
    assert!(ends_with(Request::Step(Phase::Soak), Phase::Soak));
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
