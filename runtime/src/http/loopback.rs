//! `GET /loopback/<port>`: leads the manager's proxy to servers that listen on
//! the loopback interface only.
//!
//! The proxy connects to the address of the pod, where such a server cannot be
//! reached. After a refused connection it asks here instead, and the connection
//! becomes one to `127.0.0.1` or `::1`. Nothing is scanned and nothing is bound:
//! the daemon has no work while nobody asks, and a server that binds the port on
//! all addresses later finds it free.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, Response, StatusCode};
use hyper_util::rt::TokioIo;
use silica_runtime_api::LOOPBACK_PROTOCOL;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpStream;

use super::ApiError;
use super::extract::Segment;

/// Bytes that may wait in each direction of one connection.
const BUFFER: usize = 16 * 1024;

/// Connects first and switches protocols after that: without a server the answer is 502.
pub(super) async fn serve(
    Segment(port): Segment<u16>,
    mut request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let wanted = request.headers().get(UPGRADE).map(HeaderValue::as_bytes);
    if wanted != Some(LOOPBACK_PROTOCOL.as_bytes()) {
        let message = format!("this route needs the header Upgrade: {LOOPBACK_PROTOCOL}");
        return Err(ApiError::new(StatusCode::UPGRADE_REQUIRED, message));
    }
    let server = connect(port).await.ok_or_else(|| {
        let message = format!("nothing listens on port {port} of the loopback interface");
        ApiError::new(StatusCode::BAD_GATEWAY, message)
    })?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(client) => join(TokioIo::new(client), server).await,
            Err(error) => tracing::debug!(%error, port, "a connection was not upgraded"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(LOOPBACK_PROTOCOL));
    Ok(response)
}

/// A connection to the port; on this interface it is refused at once or stands at once.
async fn connect(port: u16) -> Option<TcpStream> {
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        if let Ok(stream) = TcpStream::connect((address, port)).await {
            // A failure costs latency only.
            let _ = stream.set_nodelay(true);
            return Some(stream);
        }
    }
    None
}

async fn join(mut client: TokioIo<hyper::upgrade::Upgraded>, mut server: TcpStream) {
    if let Err(error) = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await {
        tracing::debug!(%error, "a connection to the loopback interface ended with an error");
    }
}
