//! The daemon: shared state, both listeners, the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use silica_runtime_api::{ACCESS_TOKEN_SHA256_ENV, DEFAULT_USER_ENV};
use tokio::signal::unix::{SignalKind, signal};

use crate::access::{Access, Fingerprint};
use crate::http;
use crate::interpreter::{self, Interpreter};
use crate::listen;
use crate::os::memory::release_free_memory;
use crate::os::spawn::write_oom_score;
use crate::process::Reaper;
use crate::sandbox::Sandbox;

/// How often free memory goes back to the system.
const MEMORY_INTERVAL: Duration = Duration::from_secs(20);

/// Where the daemon listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Processes and files.
    pub daemon: u16,
    /// Code interpreter; `None` switches it off.
    pub interpreter: Option<u16>,
}

/// Why the daemon could not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The fingerprint in the environment is malformed; starting open instead would be unsafe.
    #[error("{ACCESS_TOKEN_SHA256_ENV} is not a SHA-256 in hexadecimal digits")]
    Fingerprint,
    /// The runtime or a signal handler could not be set up.
    #[error("failed to set up the runtime")]
    Setup(#[source] io::Error),
    /// A port is taken or not permitted.
    #[error("failed to listen on port {port}")]
    Listen { port: u16, source: io::Error },
}

/// Serves until `SIGTERM` or `SIGINT`.
pub async fn serve(ports: Ports) -> Result<(), DaemonError> {
    let fingerprint = match std::env::var(ACCESS_TOKEN_SHA256_ENV) {
        Ok(text) if !text.is_empty() => Some(Fingerprint::parse(&text).ok_or(DaemonError::Fingerprint)?),
        _ => None,
    };
    write_oom_score("-1000");
    tokio::spawn(release_memory());
    let reaper = Reaper::start().map_err(DaemonError::Setup)?;
    let boot_user = std::env::var(DEFAULT_USER_ENV).ok();
    let sandbox = Arc::new(Sandbox::new(Access::new(fingerprint), reaper, boot_user));

    tokio::spawn({
        let sandbox = Arc::clone(&sandbox);
        async move { sandbox.usage.run().await }
    });
    let main = listen::serve(listen(ports.daemon)?, http::router(Arc::clone(&sandbox)));
    tokio::spawn(main);
    if let Some(port) = ports.interpreter {
        let listener = listen(port)?;
        let interpreter = Arc::new(Interpreter::new(Arc::clone(&sandbox)));
        interpreter.prestart();
        let awake = from_fn_with_state(Arc::clone(&sandbox), http::refuse_while_frozen);
        tokio::spawn(listen::serve(
            listener,
            interpreter::router(interpreter).layer(awake),
        ));
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Setup)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Setup)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Whoever is frozen takes its own signal only when it goes on.
    sandbox.freezer.thaw();
    Ok(())
}

/// Gives back now and then what transfers and busy streams have left behind.
async fn release_memory() {
    let mut ticks = tokio::time::interval(MEMORY_INTERVAL);
    loop {
        ticks.tick().await;
        release_free_memory();
    }
}

fn listen(port: u16) -> Result<tokio::net::TcpListener, DaemonError> {
    silica_listen::listen(silica_listen::everywhere(port))
        .map_err(|source| DaemonError::Listen { port, source })
}
