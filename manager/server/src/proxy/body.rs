//! A response body on its way through the proxy.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{connection::Sender, error::Aborted};
use crate::store::Live;

/// Error of a body: cut by us, or broken off by the sandbox. Either resets the
/// client's stream.
pub(super) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Passes frames through, fails as soon as the sandbox is gone, and gives the
/// connection back for reuse after the last frame.
pub(super) struct Guarded {
    inner: Incoming,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    lease: Option<Lease>,
}

/// A connection that is in use.
pub(super) struct Lease {
    pub(super) live: Arc<Live>,
    pub(super) port: u16,
    pub(super) sender: Sender,
}

impl Lease {
    fn give_back(self) {
        self.live.connections.put(self.port, self.sender);
    }
}

impl Guarded {
    pub(super) fn new(inner: Incoming, lease: Lease) -> Self {
        let gone = Box::pin(lease.live.gone().clone().cancelled_owned());
        let mut body = Self {
            inner,
            gone,
            lease: Some(lease),
        };
        body.finish_when_done();
        body
    }

    fn finish_when_done(&mut self) {
        if self.inner.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.gone.as_mut().poll(context).is_ready() {
            this.lease = None;
            return Poll::Ready(Some(Err(Aborted.into())));
        }
        loop {
            return match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => {
                    if let Some(lease) = this.lease.take() {
                        lease.give_back();
                    }
                    Poll::Ready(None)
                }
                Poll::Ready(Some(Ok(frame))) => {
                    this.finish_when_done();
                    // HTTP/2 clients take many empty frames for an attack.
                    if frame.data_ref().is_some_and(Bytes::is_empty) {
                        continue;
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
                Poll::Ready(Some(Err(error))) => {
                    this.lease = None;
                    Poll::Ready(Some(Err(error.into())))
                }
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
