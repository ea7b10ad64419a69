//! Ends what a client has forgotten: bodies that stop arriving, answers that nobody takes.
//!
//! Both limits count silence, never the whole of a transfer: one of many GiB
//! over a slow network is welcome.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

/// Longest silence of a client, the same as between two requests. Proxies in
/// front wait 610 and 620 s, so that the outer side closes first.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(640);

/// The chunks of a body; an error when none comes for [`IDLE_LIMIT`]. An error is the last item.
pub(super) fn limit<E: Into<BoxError>>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>> {
    let chunks = stream::unfold(Some(Box::pin(body)), |body| async {
        let mut body = body?;
        let error = match timeout(IDLE_LIMIT, body.next()).await {
            Ok(Some(Ok(chunk))) => return Some((Ok(chunk), Some(body))),
            Ok(Some(Err(error))) => error.into(),
            Ok(None) => return None,
            Err(_elapsed) => format!("nothing came for {} s", IDLE_LIMIT.as_secs()).into(),
        };
        Some((Err(error), None))
    });
    // Whoever drains a refused body asks again after its end.
    Box::pin(chunks.fuse())
}

/// A connection that breaks when its peer takes nothing for [`IDLE_LIMIT`].
pub(crate) struct Impatient<S> {
    stream: S,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            stalled: None,
        }
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(IDLE_LIMIT)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, data);
        self.watch(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, data);
        self.watch(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn body_may_pause_but_not_for_ever() {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, BoxError>>(1);
        let mut body = limit(ReceiverStream::new(receiver));
        let pause = IDLE_LIMIT.checked_sub(Duration::from_secs(1)).unwrap();
        for _ in 0..3 {
            let (_, chunk) = tokio::join!(
                async {
                    sleep(pause).await;
                    sender.send(Ok(Bytes::from_static(b"x"))).await
                },
                body.next()
            );
            assert_eq!(chunk.unwrap().unwrap(), "x");
        }
        let begin = Instant::now();
        let error = body.next().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "nothing came for 640 s");
        assert_eq!(begin.elapsed(), IDLE_LIMIT);
        assert!(body.next().await.is_none());
        assert!(body.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn connection_breaks_when_its_peer_takes_nothing() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = Impatient::new(near);
        near.write_all(b"full").await.unwrap();
        let begin = Instant::now();
        let (written, _) = tokio::join!(near.write_all(b"next"), async {
            sleep(IDLE_LIMIT / 2).await;
            far.read_exact(&mut [0; 4]).await
        });
        written.unwrap();
        assert_eq!(begin.elapsed(), IDLE_LIMIT / 2);
        let begin = Instant::now();
        let error = near.write_all(b"lost").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed(), IDLE_LIMIT);
    }
}
