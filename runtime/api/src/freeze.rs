//! Answers of the routes that stop and continue what runs in a sandbox.

use serde::{Deserialize, Serialize};

/// Answer of [`FREEZE_PATH`](crate::FREEZE_PATH).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frozen {
    /// How many processes stand still.
    pub processes: usize,
    /// How long it took to stop them.
    pub micros: u64,
    /// Process 1 is the image's own program. The kernel lets no process stop it from inside, so it
    /// goes on; with an injected runtime process 1 is the runtime, and this is `false`.
    pub first_process_runs: bool,
    /// Processes that the daemon may not stop, because they belong to another user.
    pub running: Vec<RunningProcess>,
}

/// A process that could not be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningProcess {
    /// Process id inside the sandbox.
    pub pid: i32,
    /// Name of its program, as in `/proc/PID/comm`.
    pub name: String,
}

/// Answer of [`THAW_PATH`](crate::THAW_PATH).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thawed {
    /// How many processes go on.
    pub processes: usize,
    /// How long it took to continue them.
    pub micros: u64,
}
