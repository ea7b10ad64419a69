//! What subscribers of a process see.

use bytes::Bytes;

use super::Exit;

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Terminal.
    Pty,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Output, never empty.
    Data(OutputKind, Bytes),
    /// The last event.
    End(End),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited or a signal killed it.
    Exited(Exit),
    /// It was killed because the deadline of the request that started it passed.
    DeadlineExceeded,
}
