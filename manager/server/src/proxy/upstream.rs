//! HTTP/1.1 connections to pods, kept for reuse per sandbox and port.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use silica_runtime_api::{DAEMON_PORT, INTERPRETER_PORT};
use tokio::net::TcpStream;

use super::loopback::Loopback;
use crate::store::Live;

/// Body of a request to a pod: a client's stream, or bytes of our own.
pub(crate) type RequestBody = Either<Incoming, Full<Bytes>>;
/// Sends requests on one connection.
pub(super) type Sender = SendRequest<RequestBody>;

/// Most idle connections per sandbox.
const MAX_IDLE: usize = 16;
/// Life of an idle connection to a server of ours, which keeps them far longer.
const IDLE_OWN: Duration = Duration::from_secs(90);
/// The same for servers of users. Some close idle connections after few seconds;
/// the shorter ours live, the rarer a request meets a connection that is being closed.
const IDLE_FOREIGN: Duration = Duration::from_secs(2);
/// A pod on the same network answers at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_STEP: Duration = Duration::from_millis(15);

/// Idle connections of one run of a pod.
#[derive(Default)]
pub(crate) struct Connections(Mutex<Pool>);

#[derive(Default)]
struct Pool {
    idle: Vec<Idle>,
    closed: bool,
}

struct Idle {
    port: u16,
    since: Instant,
    sender: Sender,
}

impl Idle {
    fn is_usable(&self) -> bool {
        let own = [DAEMON_PORT, INTERPRETER_PORT].contains(&self.port);
        !self.sender.is_closed() && self.since.elapsed() < if own { IDLE_OWN } else { IDLE_FOREIGN }
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, port: u16) -> Option<Sender> {
        let mut pool = self.lock();
        let index = pool
            .idle
            .iter()
            .rposition(|idle| idle.port == port && idle.is_usable() && idle.sender.is_ready())?;
        Some(pool.idle.swap_remove(index).sender)
    }

    pub(crate) fn put(&self, port: u16, sender: Sender) {
        let mut pool = self.lock();
        if pool.closed || sender.is_closed() {
            return;
        }
        if pool.idle.len() >= MAX_IDLE {
            pool.idle.remove(0);
        }
        pool.idle.push(Idle {
            port,
            since: Instant::now(),
            sender,
        });
    }

    #[cfg(test)]
    pub(crate) fn has_ready(&self, port: u16) -> bool {
        self.lock()
            .idle
            .iter()
            .any(|idle| idle.port == port && idle.sender.is_ready())
    }

    /// Drops connections that are closed or too old.
    pub(crate) fn sweep(&self) {
        self.lock().idle.retain(Idle::is_usable);
    }

    /// Drops all connections and takes no more.
    pub(crate) fn close(&self) {
        let mut pool = self.lock();
        pool.closed = true;
        pool.idle.clear();
    }
}

/// How long a refused connection is tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DialPatience {
    /// Not at all.
    None,
    /// For a short while: servers in a new sandbox may be about to listen.
    Fresh,
}

impl DialPatience {
    fn limit(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Fresh => Duration::from_millis(300),
        }
    }
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing accepts connections.
    #[error("failed to connect to {address}")]
    Connect { address: SocketAddr, source: io::Error },
    /// The connection ended before an answer.
    #[error("failed to get an answer from {address}")]
    Exchange {
        address: SocketAddr,
        source: hyper::Error,
    },
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Address of the pod and port.
    pub(crate) address: SocketAddr,
    /// How long a refused connection is tried again.
    pub(crate) patience: DialPatience,
    /// The way to a server that listens on the loopback interface only, for ports of users.
    pub(crate) loopback: Option<Loopback<'a>>,
}

/// Opens a connection: to the pod's address, else through the daemon to the
/// loopback interface.
async fn dial(target: Target<'_>) -> Result<Sender, Error> {
    let Target {
        address, patience, ..
    } = target;
    let start = Instant::now();
    loop {
        let error = match connect(address).await {
            Ok(stream) => return handshake(address, TokioIo::new(stream)).await,
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::ConnectionRefused {
            return Err(Error::Connect {
                address,
                source: error,
            });
        }
        if let Some(loopback) = target.loopback
            && let Some(stream) = loopback.connect(address).await
        {
            return handshake(address, stream).await;
        }
        if start.elapsed() >= patience.limit() {
            return Err(Error::Connect {
                address,
                source: error,
            });
        }
        tokio::time::sleep(RETRY_STEP).await;
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))??;
    // Without it a small write waits for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Speaks HTTP/1.1 on a connection.
async fn handshake<S>(address: SocketAddr, stream: S) -> Result<Sender, Error>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .handshake(stream)
        .await
        .map_err(|source| Error::Exchange { address, source })?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, %address, "a connection to a sandbox ended with an error");
        }
    });
    Ok(sender)
}

/// Sends one request on a connection of its own.
pub(super) async fn exchange(
    address: SocketAddr,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, Error> {
    let stream = connect(address)
        .await
        .map_err(|source| Error::Connect { address, source })?;
    let mut sender = handshake(address, TokioIo::new(stream)).await?;
    sender
        .send_request(request)
        .await
        .map_err(|source| Error::Exchange { address, source })
}

/// Sends a request on an idle connection, else on a new one. A request that an
/// idle connection did not take any more is sent on another.
pub(crate) async fn send(
    live: &Live,
    target: Target<'_>,
    mut request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Sender), Error> {
    let address = target.address;
    while let Some(mut sender) = live.connections.take(address.port()) {
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, sender)),
            Err(mut failed) => match failed.take_message() {
                Some(unsent) => request = unsent,
                None => {
                    return Err(Error::Exchange {
                        address,
                        source: failed.into_error(),
                    });
                }
            },
        }
    }
    let mut sender = dial(target).await?;
    match sender.send_request(request).await {
        Ok(response) => Ok((response, sender)),
        Err(source) => Err(Error::Exchange { address, source }),
    }
}
