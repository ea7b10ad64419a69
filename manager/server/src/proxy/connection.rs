//! One HTTP/1.1 connection to a pod.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Body of a request to a pod: a client's stream, or bytes of our own.
pub(crate) type RequestBody = Either<Incoming, Full<Bytes>>;
/// Sends requests on one connection.
pub(super) type Sender = SendRequest<RequestBody>;

/// A pod on the same network answers at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Opens a connection to the address.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))??;
    // Without it a small write waits for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Speaks HTTP/1.1 on a connection.
pub(super) async fn handshake<S>(address: SocketAddr, stream: S) -> Result<Sender, Error>
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
