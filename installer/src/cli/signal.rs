//! Requests to end: Ctrl-C, and SIGTERM from whoever started the command (a
//! timer, a CI job). A hang-up is left to its default, because `nohup` relies on it.

use std::{fmt, future::pending};

use tokio::{
    signal::unix::{self, SignalKind},
    sync::oneshot,
};

use crate::cli::exit::Exit;

/// How the command was asked to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// SIGINT, as Ctrl-C sends it.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// The code that tells it to whoever started the command, as shells count.
    pub fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "interrupted",
            Self::Terminate => "terminated",
        })
    }
}

/// Waits for the first signal, whose receiver puts things in order: records are
/// taken out of DNS. A second one ends the process at once.
///
/// Listens from this call on, on the runtime that it is made in.
pub fn watch() -> impl Future<Output = Signal> {
    let (sender, first) = oneshot::channel();
    let mut interrupts = listen(SignalKind::interrupt());
    let mut terminations = listen(SignalKind::terminate());
    // A task of its own: the one that puts things in order may be busy with it.
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                () = arrival(interrupts.as_mut()) => Signal::Interrupt,
                () = arrival(terminations.as_mut()) => Signal::Terminate,
            }
        };
        let _ = sender.send(next().await);
        let second = next().await;
        std::process::exit(i32::from(second.exit() as u8));
    });
    async {
        match first.await {
            Ok(signal) => signal,
            // The runtime ends, and the command with it.
            Err(_) => pending().await,
        }
    }
}

/// `None` where the system does not let us: the signal then ends the process.
fn listen(kind: SignalKind) -> Option<unix::Signal> {
    unix::signal(kind).ok()
}

async fn arrival(signals: Option<&mut unix::Signal>) {
    match signals {
        Some(signals) => {
            signals.recv().await;
        }
        None => pending().await,
    }
}
