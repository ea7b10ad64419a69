//! The one call to the daemon inside of a sandbox that the controller makes: it hands the
//! sandbox of a SandboxClaim over.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use silica_runtime_api::{ACCESS_TOKEN_HEADER, DAEMON_PORT, INIT_PATH, InitRequest};
use tokio::net::TcpStream;

/// Longest call, the connection included.
const LIMIT: Duration = Duration::from_secs(10);
/// A daemon that is about to listen is tried again for so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause between two tries.
const RETRY_STEP: Duration = Duration::from_millis(15);
/// Most bytes of a refusal that are read.
const MAX_ANSWER: usize = 4 * 1024;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to encode the request")]
    Encode(#[source] serde_json::Error),
    #[error("failed to connect to {address}")]
    Connect {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("failed to exchange a request with {address}")]
    Exchange {
        address: SocketAddr,
        #[source]
        source: hyper::Error,
    },
    #[error("the daemon did not answer in {} seconds", LIMIT.as_secs())]
    Time,
    #[error("the daemon answered {status}: {text}")]
    Refused { status: StatusCode, text: String },
}

/// Tells the daemon whose it is now.
pub(crate) async fn init(address: IpAddr, token: &str, request: &InitRequest) -> Result<(), Error> {
    let body = serde_json::to_vec(request).map_err(Error::Encode)?;
    let address = SocketAddr::new(address, DAEMON_PORT);
    tokio::time::timeout(LIMIT, post(address, token, body))
        .await
        .map_err(|_| Error::Time)?
}

async fn post(address: SocketAddr, token: &str, body: Vec<u8>) -> Result<(), Error> {
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(INIT_PATH);
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_static("sandbox"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(token) = HeaderValue::from_str(token) {
        headers.insert(ACCESS_TOKEN_HEADER, token);
    }

    let exchange = |source| Error::Exchange { address, source };
    let stream = connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(exchange)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(exchange)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let bytes = body.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        Err(Error::Refused { status, text })
    };
    // The connection does the work; it ends with the answer.
    tokio::select! {
        answer = answer => answer,
        Err(source) = connection => Err(exchange(source)),
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && start.elapsed() < PATIENCE => {
                tokio::time::sleep(RETRY_STEP).await;
            }
            Err(source) => return Err(Error::Connect { address, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Calls a daemon that answers so; gives back what it was sent.
    async fn call(answer: &'static str) -> (Result<(), Error>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let daemon = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            while !text.ends_with("{}") {
                let mut bytes = [0; 1024];
                let length = stream.read(&mut bytes).await.unwrap();
                text.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            text
        });
        let result = post(address, "t0ken", b"{}".to_vec()).await;
        (result, daemon.await.unwrap())
    }

    #[tokio::test]
    async fn the_daemon_is_sent_request_and_token() {
        let (result, sent) = call("HTTP/1.1 204 No Content\r\n\r\n").await;
        result.unwrap();
        assert!(sent.starts_with("POST /init HTTP/1.1\r\n"), "{sent}");
        assert!(sent.contains("x-access-token: t0ken\r\n"), "{sent}");
    }

    #[tokio::test]
    async fn a_refusal_tells_status_and_text() {
        let (result, _) = call("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno").await;
        let error = result.unwrap_err().to_string();
        assert_eq!(error, "the daemon answered 401 Unauthorized: no");
    }
}
