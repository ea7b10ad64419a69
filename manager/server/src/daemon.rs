//! Calls to the daemon inside a sandbox.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use silica_core::timeout;
use silica_runtime_api::{
    ACCESS_TOKEN_HEADER, DAEMON_PORT, INIT_PATH, InitRequest, METRICS_HISTORY_PATH, METRICS_PATH, Usage,
};

use crate::{
    proxy::{DialPatience, RequestBody, Target, UpstreamError, send},
    state::App,
    store::Entry,
};

/// Longest call.
const LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read: an hour of resource usage has about 160 KiB.
const MAX_ANSWER: usize = 512 * 1024;

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

/// Tells the daemon whose it is now: environment and token.
pub(crate) async fn init(app: &App, entry: &Entry, env: &BTreeMap<String, String>) -> Result<(), Error> {
    let mut env_vars = env.clone();
    for (name, value) in [
        ("E2B_SANDBOX", "true"),
        ("E2B_SANDBOX_ID", entry.id.as_str()),
        ("E2B_TEMPLATE_ID", &entry.template),
    ] {
        env_vars.insert(name.to_owned(), value.to_owned());
    }
    let token = app.config.token_key.envd_token(&entry.uid);
    let body = InitRequest {
        env_vars: Some(env_vars),
        access_token: Some(if entry.secure {
            token.clone()
        } else {
            String::new()
        }),
        timestamp: Some(timeout::format(Timestamp::now())),
        ..InitRequest::default()
    };
    let body = serde_json::to_vec(&body).map_err(Error::Encode)?;
    let response = tokio::time::timeout(LIMIT, call(entry, INIT_PATH, &token, Some(body)))
        .await
        .map_err(|_| Error::Time)??;
    read(entry, response).await.map(drop)
}

/// Asks the daemon for its resource usage.
pub(crate) async fn read_usage(app: &App, entry: &Entry) -> Result<Usage, Error> {
    get(app, entry, METRICS_PATH).await
}

/// Asks the daemon for its resource usage during the last hour, oldest first. A daemon that
/// keeps no history tells what it uses now.
pub(crate) async fn read_usage_history(app: &App, entry: &Entry) -> Result<Vec<Usage>, Error> {
    match get(app, entry, METRICS_HISTORY_PATH).await {
        Err(Error::Refused { status, .. }) if status == StatusCode::NOT_FOUND => {
            Ok(vec![read_usage(app, entry).await?])
        }
        result => result,
    }
}

async fn get<T: DeserializeOwned>(app: &App, entry: &Entry, path: &'static str) -> Result<T, Error> {
    let token = app.config.token_key.envd_token(&entry.uid);
    let exchange = async { read(entry, call(entry, path, &token, None).await?).await };
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
