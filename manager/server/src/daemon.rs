//! Calls to the daemon inside a sandbox.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Deserialize;
use silica_core::init;
use silica_runtime_api::{ACCESS_TOKEN_HEADER, DAEMON_PORT, INIT_PATH, METRICS_PATH};

use crate::{
    proxy::{DialPatience, RequestBody, Target, UpstreamError, send},
    state::App,
    store::Entry,
};

/// Longest call.
const LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The sandbox has no address.
    #[error("the sandbox has no address")]
    Address,
    /// The request could not be written down.
    #[error("failed to encode the request")]
    Encode(#[source] serde_json::Error),
    /// No connection, or no answer.
    #[error("failed to reach the daemon")]
    Send(#[from] UpstreamError),
    /// No answer in time.
    #[error("the daemon did not answer in {} seconds", LIMIT.as_secs())]
    Time,
    /// The daemon refused.
    #[error("the daemon answered {status}: {text}")]
    Refused { status: StatusCode, text: String },
    /// The answer could not be read.
    #[error("failed to read the daemon's answer")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Resource usage as the daemon reports it.
#[derive(Debug, Deserialize)]
pub(crate) struct Usage {
    /// Unix seconds
    pub(crate) ts: i64,
    pub(crate) cpu_count: u32,
    pub(crate) cpu_used_pct: f64,
    pub(crate) mem_total: u64,
    pub(crate) mem_used: u64,
    #[serde(default)]
    pub(crate) mem_cache: u64,
    pub(crate) disk_used: u64,
    pub(crate) disk_total: u64,
}

/// Tells the daemon whose it is now: environment and token.
pub(crate) async fn init(app: &App, entry: &Entry, env: &BTreeMap<String, String>) -> Result<(), Error> {
    let token = app.config.token_key.envd_token(&entry.uid);
    let needed = entry.secure.then_some(token.as_str());
    let body = init::request(entry.id.as_str(), &entry.template, needed, env, Timestamp::now());
    let body = serde_json::to_vec(&body).map_err(Error::Encode)?;
    let response = tokio::time::timeout(LIMIT, call(entry, INIT_PATH, &token, Some(body)))
        .await
        .map_err(|_| Error::Time)??;
    read(entry, response).await.map(drop)
}

/// Asks the daemon for its resource usage.
pub(crate) async fn read_usage(app: &App, entry: &Entry) -> Result<Usage, Error> {
    let token = app.config.token_key.envd_token(&entry.uid);
    let exchange = async { read(entry, call(entry, METRICS_PATH, &token, None).await?).await };
    let bytes = tokio::time::timeout(LIMIT, exchange)
        .await
        .map_err(|_| Error::Time)??;
    serde_json::from_slice(&bytes).map_err(|error| Error::Read(error.into()))
}

async fn call(
    entry: &Entry,
    path: &'static str,
    token: &str,
    body: Option<Vec<u8>>,
) -> Result<Response<Incoming>, Error> {
    let address = SocketAddr::new(entry.address.ok_or(Error::Address)?, DAEMON_PORT);
    let mut request: Request<RequestBody> = Request::new(Either::Right(Full::default()));
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_static("sandbox"));
    if let Ok(token) = HeaderValue::from_str(token) {
        headers.insert(ACCESS_TOKEN_HEADER, token);
    }
    if let Some(body) = body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.method_mut() = http::Method::POST;
        *request.body_mut() = Either::Right(Full::new(Bytes::from(body)));
    }
    let target = Target {
        address,
        patience: DialPatience::Fresh,
        loopback: None,
    };
    let (response, sender) = send(&entry.live, target, request).await?;
    entry.live.connections.put(DAEMON_PORT, sender);
    Ok(response)
}

async fn read(entry: &Entry, response: Response<Incoming>) -> Result<Bytes, Error> {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(Error::Read)?
        .to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    tracing::debug!(sandbox = %entry.id, %status, "the daemon refused a call");
    Err(Error::Refused { status, text })
}
