//! A way to the API server that can lose an answer: the write has happened, and nobody tells.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use http::{Method, Request};
use tower::{BoxError, Layer, Service};

/// Loses the answer to the next request of a method.
#[derive(Clone, Default)]
pub(crate) struct Lossy(Arc<Mutex<Option<Method>>>);

impl Lossy {
    pub(crate) fn lose_next(&self, method: Method) {
        *self.0.lock().unwrap() = Some(method);
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.0.lock().unwrap().is_some()
    }

    fn loses(&self, method: &Method) -> bool {
        self.0.lock().unwrap().take_if(|armed| armed == method).is_some()
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
        let loses = self.lossy.loses(request.method());
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
