//! Why processes were not stopped.

use std::io;

/// Nothing stands still after this: what was stopped already goes on.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// Stopping everything in sight would stop the machine.
    #[error(
        "failed to freeze the sandbox: it has no PID namespace of its own (hostPID), and would stop the processes of the node"
    )]
    NotIsolated,
    /// The table of processes cannot be read.
    #[error("failed to freeze the sandbox: failed to read its processes")]
    Read(#[source] io::Error),
    /// New processes appear faster than they are stopped, or one hangs in the kernel.
    #[error("failed to freeze the sandbox: {0} still runs after {limit} ms", limit = super::PATIENCE.as_millis())]
    Restless(String),
}
