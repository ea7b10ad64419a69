//! A way to the API server that can lose an answer: the write has happened, and nobody tells.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use http::{Method, Request};
use tower::{BoxError, Layer, Service};

/// Loses the answer to the next patch once it is armed.
#[derive(Clone, Default)]
pub(crate) struct Lossy(Arc<AtomicBool>);

impl Lossy {
    pub(crate) fn lose_next_patch(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl<S> Layer<S> for Lossy {
    type Service = Way<S>;

    fn layer(&self, inner: S) -> Way<S> {
        Way {
            inner,
            lossy: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Way<S> {
    inner: S,
    lossy: Lossy,
}

impl<S, B> Service<Request<B>> for Way<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let loses = request.method() == Method::PATCH && self.lossy.0.swap(false, Ordering::SeqCst);
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await.map_err(Into::into)?;
            if loses {
                return Err("the answer was lost".into());
            }
            Ok(answer)
        }
        .boxed()
    }
}
