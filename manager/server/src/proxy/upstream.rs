//! HTTP/1.1 connections to pods, kept for reuse per sandbox and port.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use silica_runtime_api::{DAEMON_PORT, INTERPRETER_PORT};

use super::{
    connection::{Error, RequestBody, Sender, connect, handshake},
    loopback::Loopback,
};
use crate::store::Live;

/// Most idle connections per sandbox.
const MAX_IDLE: usize = 16;
/// Life of an idle connection to a server of ours, which keeps them far longer.
const IDLE_OWN: Duration = Duration::from_secs(90);
/// The same for servers of users. Some close idle connections after few seconds;
/// the shorter ours live, the rarer a request meets a connection that is being closed.
const IDLE_FOREIGN: Duration = Duration::from_secs(2);
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
