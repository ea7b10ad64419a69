//! Reads the output of one process until its end.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use super::hub::Hub;
use super::{Event, OutputKind};
use crate::os::readiness::Watched;

/// Largest chunk of a pipe.
const PIPE_CHUNK: usize = 32 * 1024;
/// Largest chunk of a terminal.
const PTY_CHUNK: usize = 16 * 1024;
/// Free space below which the buffer is renewed.
const LOW_WATER: usize = 1024;

/// Publishes what comes out of a pipe. Keeps reading after the hub has closed,
/// so that a background process that still writes is not killed by `SIGPIPE`.
pub(super) async fn pump_pipe(kind: OutputKind, mut pipe: pipe::Receiver, hub: Arc<Hub>) {
    let mut buffer = BytesMut::new();
    loop {
        if buffer.capacity() < LOW_WATER {
            buffer = BytesMut::with_capacity(PIPE_CHUNK);
        }
        match pipe.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => hub.publish(Event::Data(kind, buffer.split().freeze())).await,
        }
    }
}

/// Publishes what comes out of a terminal.
pub(super) async fn pump_terminal(master: Arc<AsyncFd<Watched<OwnedFd>>>, hub: Arc<Hub>) {
    let mut buffer = BytesMut::zeroed(PTY_CHUNK);
    loop {
        let Ok(mut ready) = master.readable().await else {
            return;
        };
        let result: Result<io::Result<usize>, _> =
            ready.try_io(|master| Ok(nix::unistd::read(&**master.get_ref(), &mut buffer)?));
        match result {
            // EIO says that the last process has closed the terminal.
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(length)) => {
                let data = bytes::Bytes::copy_from_slice(&buffer[..length]);
                hub.publish(Event::Data(OutputKind::Pty, data)).await;
            }
            Err(_would_block) => {}
        }
    }
}
