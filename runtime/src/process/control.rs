//! Why a process cannot be controlled.

use std::io;

use nix::errno::Errno;

/// Why a process did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The process has ended.
    #[error("process has already ended")]
    Ended,
    /// Standard input is closed or was never open.
    #[error("stdin of the process is not enabled or was closed")]
    InputClosed,
    /// A terminal takes `pty` input and cannot be closed.
    #[error("the process has a terminal, which takes no stdin")]
    TerminalInput,
    /// The process has no terminal.
    #[error("the process has no terminal")]
    NoTerminal,
    /// Writing failed, for example because the process closed its end.
    #[error("failed to write to the process")]
    Write(#[source] io::Error),
    /// The signal was refused.
    #[error("failed to signal the process")]
    Signal(#[source] Errno),
    /// The terminal refused the size.
    #[error("failed to resize the terminal")]
    Resize(#[source] io::Error),
}
