//! Work that may wait for a disk, away from the one thread that serves everybody.
//!
//! A mount whose server is gone answers no system call. What touches a path
//! that a client chose therefore runs here, and holds its thread for one step
//! only: never while it waits for a client.

use connectrpc::ConnectError;

/// The work was given up, because the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operation was aborted")]
pub struct Aborted;

impl From<Aborted> for ConnectError {
    fn from(error: Aborted) -> Self {
        Self::internal(error.to_string())
    }
}

/// Runs `work` on a thread of its own and waits for it. Work that has begun
/// goes on when the future is dropped.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Aborted> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Aborted)
}
