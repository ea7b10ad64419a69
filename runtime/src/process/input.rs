//! Writes to the standard input or terminal of one process, in order.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::control::ControlError;
use crate::os::readiness::Watched;

/// Where input goes.
pub(super) enum Input {
    /// Nowhere: the process was started without, or it was closed.
    Closed,
    /// Pipe to the standard input.
    Pipe(pipe::Sender),
    /// Master of a terminal.
    Pty(Arc<AsyncFd<Watched<OwnedFd>>>),
}

/// Kind of input that a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// For a pipe.
    Stdin,
    /// For a terminal.
    Pty,
}

/// Request to the task that owns the input.
pub(super) enum InputCommand {
    /// Write all of `data`.
    Write {
        kind: InputKind,
        data: Bytes,
        reply: oneshot::Sender<Result<(), ControlError>>,
    },
    /// Signal the end of the input.
    Close {
        reply: oneshot::Sender<Result<(), ControlError>>,
    },
}

/// Serves requests until all handles are gone or the task is aborted.
pub(super) async fn serve(mut input: Input, mut commands: mpsc::Receiver<InputCommand>) {
    while let Some(command) = commands.recv().await {
        match command {
            InputCommand::Write { kind, data, reply } => {
                // The caller may have given up; the bytes are written all the same.
                let _ = reply.send(write(&mut input, kind, &data).await);
            }
            InputCommand::Close { reply } => {
                let result = match input {
                    Input::Pty(_) => Err(ControlError::TerminalInput),
                    Input::Pipe(_) | Input::Closed => {
                        input = Input::Closed;
                        Ok(())
                    }
                };
                let _ = reply.send(result);
            }
        }
    }
}

async fn write(input: &mut Input, kind: InputKind, data: &[u8]) -> Result<(), ControlError> {
    match (input, kind) {
        (Input::Pipe(pipe), InputKind::Stdin) => pipe.write_all(data).await.map_err(ControlError::Write),
        (Input::Pty(master), InputKind::Pty) => {
            write_terminal(master, data).await.map_err(ControlError::Write)
        }
        (Input::Pty(_), InputKind::Stdin) => Err(ControlError::TerminalInput),
        (Input::Pipe(_), InputKind::Pty) => Err(ControlError::NoTerminal),
        (Input::Closed, _) => Err(ControlError::InputClosed),
    }
}

async fn write_terminal(master: &AsyncFd<Watched<OwnedFd>>, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        let mut ready = master.writable().await?;
        match ready.try_io(|master| Ok(nix::unistd::write(&**master.get_ref(), data)?)) {
            Ok(written) => data = &data[written?..],
            Err(_would_block) => {}
        }
    }
    Ok(())
}
