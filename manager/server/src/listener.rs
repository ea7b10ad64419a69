//! Connections: accept, TLS, HTTP/1.1 or HTTP/2, and their end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    dispatch::dispatch,
    proxy::{Peer, Scheme},
    state::App,
};

/// Idle connections outlive those of the load balancers in front (contract
/// section 6.2), so that the outer side closes first.
const IDLE: Duration = Duration::from_secs(640);
/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Silence after which an HTTP/2 client is asked whether it is still there.
const PING: Duration = Duration::from_mins(1);
/// Pause after a failed accept: mostly too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Receive windows of HTTP/2: uploads at 100 MB/s over 10 ms.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// A listening socket.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// Ends TLS when set.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// What connections of all listeners share.
pub(crate) struct Server {
    app: Arc<App>,
    api: Router,
    http: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
}

impl Server {
    /// A server for this API.
    pub(crate) fn new(app: Arc<App>, api: Router) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .keep_alive(true);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(1000);
        Self {
            app,
            api,
            http,
            graceful: GracefulShutdown::new(),
        }
    }

    /// Accepts connections until stopped.
    pub(crate) async fn accept(&self, listener: &Listener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.socket.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, address)) => self.spawn(stream, address, listener.tls.clone()),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, address: SocketAddr, tls: Option<TlsAcceptor>) {
        let (app, api, http) = (Arc::clone(&self.app), self.api.clone(), self.http.clone());
        let watcher = self.graceful.watcher();
        tokio::spawn(async move {
            let scheme = if tls.is_some() {
                Scheme::Https
            } else {
                Scheme::Http
            };
            let peer = Peer {
                address: address.ip().to_canonical(),
                scheme,
            };
            let served = match secure(stream, tls).await {
                Ok(Either::Plain(stream)) => serve(app, api, &http, peer, stream, watcher).await,
                Ok(Either::Tls(stream)) => serve(app, api, &http, peer, *stream, watcher).await,
                Err(error) => {
                    tracing::debug!(%error, %address, "a TLS handshake failed");
                    return;
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, %address, "a connection ended with an error");
            }
        });
    }

    /// Lets requests in flight finish, for a limited time.
    pub(crate) async fn drain(self, limit: Duration) {
        let open = self.graceful.count();
        if tokio::time::timeout(limit, self.graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!(
                open,
                seconds = limit.as_secs(),
                "connections were still busy and are cut"
            );
        }
    }
}

enum Either {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

async fn secure(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Either> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return Ok(Either::Plain(stream));
    };
    let handshake = tokio::time::timeout(HANDSHAKE, tls.accept(stream));
    Ok(Either::Tls(Box::new(handshake.await.map_err(|elapsed| {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    })??)))
}

async fn serve<S>(
    app: Arc<App>,
    api: Router,
    http: &auto::Builder<TokioExecutor>,
    peer: Peer,
    stream: S,
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| dispatch(Arc::clone(&app), api.clone(), peer, request));
    let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
    watcher.watch(connection.into_owned()).await
}
