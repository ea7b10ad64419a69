//! SIGTERM and SIGINT: the first asks to end, the second ends.

use silica_server::Shutdown;
use tokio::signal::unix::{SignalKind, signal};

/// Follows the signals.
pub(crate) fn follow_signals() -> std::io::Result<Shutdown> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = Shutdown::default();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        for token in [&asked.graceful, &asked.immediate] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(shutdown)
}
