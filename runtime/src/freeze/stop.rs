//! Stops processes and continues them.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use silica_runtime_api::RunningProcess;

use super::table::{self, Container, Process};
use super::{FreezeError, PATIENCE, order};

/// Time for a stop to take effect before the next look.
const PAUSE: Duration = Duration::from_micros(50);

/// Process 1 of the namespace: the kernel ignores `SIGSTOP` from inside.
const FIRST: i32 = 1;

/// A process that was stopped here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped {
    pid: i32,
    start: u64,
}

/// What was stopped, in that order, and what cannot be.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub stopped: Vec<Stopped>,
    pub running: Vec<RunningProcess>,
}

/// Stops all processes of the container but the caller and process 1, until a look finds none that runs.
/// What stood still before is left alone, then and later.
pub(super) fn stop_all() -> Result<Outcome, FreezeError> {
    let mut outcome = Outcome::default();
    let result = stop_until_quiet(&mut outcome);
    if result.is_err() {
        continue_all(&outcome.stopped);
    }
    result.map(|()| outcome)
}

fn stop_until_quiet(outcome: &mut Outcome) -> Result<(), FreezeError> {
    let own = std::process::id().cast_signed();
    let mut container = Container::read().map_err(FreezeError::Read)?;
    let mut told = HashSet::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let table = table::read().map_err(FreezeError::Read)?;
        let levels = order::levels(&table, |process| {
            process.pid != own
                && process.pid != FIRST
                && !process.stands_still()
                && !told.contains(&(process.pid, process.start))
        });
        let mut found_new = false;
        for level in levels {
            let level: Vec<_> = level.into_iter().filter(|one| container.holds(one)).collect();
            found_new |= !level.is_empty();
            let before = outcome.stopped.len();
            for process in level {
                tell(process, &mut told, outcome);
            }
            wait_until_still(&outcome.stopped[before..], deadline)?;
        }
        if !found_new {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(FreezeError::Restless(
                "a process that has just started".to_owned(),
            ));
        }
    }
}

/// Waits until a stop has taken effect: a parent that is still on its way into it would see its child stop.
fn wait_until_still(stopped: &[Stopped], deadline: Instant) -> Result<(), FreezeError> {
    for one in stopped {
        while let Some(process) = table::read_one(one.pid).filter(|process| is_restless(process, *one)) {
            if Instant::now() > deadline {
                let text = format!("process {} ({})", process.pid, process.name);
                return Err(FreezeError::Restless(text));
            }
            sleep(PAUSE);
        }
    }
    Ok(())
}

/// Sends the signal, and notes what became of it.
fn tell(process: &Process, told: &mut HashSet<(i32, u64)>, outcome: &mut Outcome) {
    told.insert((process.pid, process.start));
    match kill(Pid::from_raw(process.pid), Signal::SIGSTOP) {
        Ok(()) => outcome.stopped.push(Stopped {
            pid: process.pid,
            start: process.start,
        }),
        Err(Errno::ESRCH) => {}
        Err(_) => outcome.running.push(RunningProcess {
            pid: process.pid,
            name: process.name.clone(),
        }),
    }
}

/// Whether a process that was told to stop may still run code of its own. One that waits inside the
/// kernel stops before it gets back, and the state of a first thread that has ended tells nothing.
fn is_restless(process: &Process, stopped: Stopped) -> bool {
    process.start == stopped.start && !process.stands_still() && !matches!(process.state, 'D' | 'Z')
}

/// Continues processes in the reverse order: a parent that goes on finds its children going.
/// Returns how many there were.
pub(super) fn continue_all(stopped: &[Stopped]) -> usize {
    let continued = stopped.iter().rev().filter(|one| {
        // It may have been killed, and its id given away.
        let same = table::read_one(one.pid).is_some_and(|process| process.start == one.start);
        same && kill(Pid::from_raw(one.pid), Signal::SIGCONT).is_ok()
    });
    continued.count()
}
