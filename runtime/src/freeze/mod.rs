//! Stops everything that runs in the sandbox, and continues it where it was.
//!
//! It takes no right that the pod does not have: every process gets `SIGSTOP`,
//! which none can catch, and `SIGCONT` later. Timers, terminals, open files and
//! connections stay what they are.

mod error;
mod order;
mod stop;
mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use silica_runtime_api::{Frozen, Thawed};

pub use error::FreezeError;

use stop::Stopped;

/// How long stopping may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the daemon has processes of its own kind only around it, as in a container.
pub fn is_isolated() -> bool {
    table::is_isolated().unwrap_or(false)
}

/// Knows what stands still, and for whom.
#[derive(Default)]
pub struct Freezer {
    state: Mutex<State>,
    /// Asked for by [`Freezer::freeze`]; readable while the state is locked.
    frozen: AtomicBool,
}

#[derive(Default)]
struct State {
    /// A caller wants everything to stand still until it says otherwise.
    asked: bool,
    /// Users of [`Hold`].
    holds: usize,
    /// What was stopped, in that order; `None` while everything runs.
    stopped: Option<(Vec<Stopped>, Frozen)>,
}

impl Freezer {
    /// Whether the sandbox was frozen by [`Self::freeze`].
    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Acquire)
    }

    /// Stops everything until [`Self::thaw`]. A frozen sandbox stays frozen. Blocks.
    pub fn freeze(&self) -> Result<Frozen, FreezeError> {
        let mut state = self.lock();
        // Before the first stop, so that no request starts a process meanwhile.
        self.frozen.store(true, Ordering::Release);
        let result = state.stop();
        state.asked |= result.is_ok();
        self.frozen.store(state.asked, Ordering::Release);
        result
    }

    /// Continues everything, unless a snapshot needs the quiet for a moment more. Blocks.
    pub fn thaw(&self) -> Thawed {
        let mut state = self.lock();
        state.asked = false;
        let thawed = state.go_on();
        self.frozen.store(false, Ordering::Release);
        thawed
    }

    /// Stops everything for as long as the result lives. Blocks.
    pub fn hold(self: &Arc<Self>) -> Result<Hold, FreezeError> {
        let mut state = self.lock();
        let frozen = state.stop()?;
        state.holds += 1;
        Ok(Hold {
            freezer: Arc::clone(self),
            frozen,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything stands still while this lives.
pub struct Hold {
    freezer: Arc<Freezer>,
    /// What stands still.
    pub frozen: Frozen,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.freezer.lock();
        state.holds -= 1;
        state.go_on();
    }
}

impl State {
    fn stop(&mut self) -> Result<Frozen, FreezeError> {
        if let Some((_, frozen)) = &self.stopped {
            return Ok(frozen.clone());
        }
        if !table::is_isolated().map_err(FreezeError::Read)? {
            return Err(FreezeError::NotIsolated);
        }
        let begin = Instant::now();
        let outcome = stop::stop_all()?;
        let frozen = Frozen {
            processes: outcome.stopped.len(),
            micros: micros(begin),
            first_process_runs: !table::is_first_process_ours(),
            running: outcome.running,
        };
        self.stopped = Some((outcome.stopped, frozen.clone()));
        Ok(frozen)
    }

    fn go_on(&mut self) -> Thawed {
        if self.asked || self.holds > 0 {
            return Thawed::default();
        }
        let begin = Instant::now();
        let processes = self
            .stopped
            .take()
            .map_or(0, |(stopped, _)| stop::continue_all(&stopped));
        Thawed {
            processes,
            micros: micros(begin),
        }
    }
}

/// Microseconds since then.
pub(crate) fn micros(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_itself_is_never_frozen() {
        if is_isolated() {
            // The other side is tested in a namespace of its own, with the real daemon.
            return;
        }
        let freezer = Arc::new(Freezer::default());
        assert!(matches!(freezer.freeze(), Err(FreezeError::NotIsolated)));
        assert!(matches!(freezer.hold(), Err(FreezeError::NotIsolated)));
        assert!(!freezer.is_frozen());
        assert_eq!(freezer.thaw().processes, 0);
    }
}
