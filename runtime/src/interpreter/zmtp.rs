//! A ZMTP 3.0 client (ZeroMQ RFC 23) with the NULL mechanism over a Unix socket.
//!
//! This is all that talking to a local kernel takes. Owning it keeps the daemon
//! small and, unlike a reconnecting socket, reports the end of the kernel at once.

use std::io;
use std::path::Path;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

const GREETING_LENGTH: usize = 64;
/// Largest frame that is accepted from a kernel.
const FRAME_LIMIT: u64 = 512 * 1024 * 1024;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// What our end of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketKind {
    Dealer,
    Subscriber,
}

/// Receives messages.
pub(super) struct Receiver {
    stream: BufReader<OwnedReadHalf>,
}

/// Sends messages.
pub(super) struct Sender {
    stream: OwnedWriteHalf,
}

/// Connects and shakes hands; a subscriber subscribes to everything.
pub(super) async fn connect(path: &Path, kind: SocketKind) -> io::Result<(Sender, Receiver)> {
    let (reader, writer) = UnixStream::connect(path).await?.into_split();
    let mut receiver = Receiver {
        stream: BufReader::new(reader),
    };
    let mut sender = Sender { stream: writer };
    sender.stream.write_all(&render_greeting()).await?;
    sender
        .stream
        .write_all(&render_frame(COMMAND, &render_ready(kind)))
        .await?;
    let mut greeting = [0; GREETING_LENGTH];
    receiver.stream.read_exact(&mut greeting).await?;
    if greeting[0] != 0xff || greeting[10] < 3 || &greeting[12..17] != b"NULL\0" {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the peer speaks no ZMTP 3 without security",
        ));
    }
    if kind == SocketKind::Subscriber {
        sender.send(&[b"\x01"]).await?;
    }
    Ok((sender, receiver))
}

impl Sender {
    /// Sends a message of several frames.
    pub(super) async fn send<T: AsRef<[u8]>>(&mut self, frames: &[T]) -> io::Result<()> {
        let mut buffer = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            let more = if index + 1 < frames.len() { MORE } else { 0 };
            buffer.extend(render_frame(more, frame.as_ref()));
        }
        self.stream.write_all(&buffer).await
    }
}

impl Receiver {
    /// Receives a message; `UnexpectedEof` says that the peer is gone.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<Bytes>> {
        let mut frames = Vec::new();
        loop {
            let flags = self.stream.read_u8().await?;
            let length = if flags & LONG == 0 {
                u64::from(self.stream.read_u8().await?)
            } else {
                self.stream.read_u64().await?
            };
            if length > FRAME_LIMIT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too large"));
            }
            let mut frame = Vec::new();
            (&mut self.stream).take(length).read_to_end(&mut frame).await?;
            if frame.len() as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Commands, such as the peer's READY, are none of our callers' business.
            if flags & COMMAND != 0 {
                continue;
            }
            frames.push(Bytes::from(frame));
            if flags & MORE == 0 {
                return Ok(frames);
            }
        }
    }
}

fn render_greeting() -> [u8; GREETING_LENGTH] {
    let mut greeting = [0; GREETING_LENGTH];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

fn render_ready(kind: SocketKind) -> Vec<u8> {
    let value: &[u8] = match kind {
        SocketKind::Dealer => b"DEALER",
        SocketKind::Subscriber => b"SUB",
    };
    let mut body = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    body.push(u8::try_from(value.len()).unwrap_or_default());
    body.extend(value);
    body
}

fn render_frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + 9);
    if let Ok(length) = u8::try_from(body.len()) {
        frame.extend([flags, length]);
    } else {
        frame.push(flags | LONG);
        frame.extend((body.len() as u64).to_be_bytes());
    }
    frame.extend(body);
    frame
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[test]
    fn frames_are_short_or_long() {
        assert_eq!(render_frame(MORE, b"ab"), b"\x01\x02ab");
        let long = render_frame(0, &[7; 256]);
        assert_eq!(&long[..9], b"\x02\0\0\0\0\0\0\x01\0");
        assert_eq!(long.len(), 265);
    }

    #[test]
    fn ready_names_the_socket_type() {
        assert_eq!(
            render_ready(SocketKind::Subscriber),
            b"\x05READY\x0bSocket-Type\0\0\0\x03SUB"
        );
    }

    #[tokio::test]
    async fn messages_pass_both_ways_and_the_end_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = [0; GREETING_LENGTH];
            stream.read_exact(&mut greeting).await.unwrap();
            stream.write_all(&greeting).await.unwrap();
            let mut ready = [0; 30];
            stream.read_exact(&mut ready).await.unwrap();
            stream.write_all(&ready).await.unwrap();
            let mut message = [0; 8];
            stream.read_exact(&mut message).await.unwrap();
            stream.write_all(&message).await.unwrap();
        });
        let (mut sender, mut receiver) = connect(&path, SocketKind::Dealer).await.unwrap();
        sender.send(&["ab", "cd"]).await.unwrap();
        assert_eq!(receiver.receive().await.unwrap(), ["ab", "cd"]);
        assert_eq!(
            receiver.receive().await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        peer.await.unwrap();
    }
}
