//! The way to servers inside a sandbox that listen on its loopback interface only.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::upgrade::Upgraded;
use silica_core::token::TokenKey;
use silica_runtime_api::{ACCESS_TOKEN_HEADER, DAEMON_PORT, LOOPBACK_PATH, LOOPBACK_PROTOCOL};

use super::connection::{RequestBody, exchange};

/// What the in-sandbox daemon wants to see before it leads somebody on.
#[derive(Clone, Copy)]
pub(crate) struct Loopback<'a> {
    /// Key that access tokens are derived from.
    pub(crate) key: &'a TokenKey,
    /// UID of the sandbox.
    pub(crate) uid: &'a str,
}

impl Loopback<'_> {
    /// A connection to the port through the daemon. Nothing when nobody listens
    /// there either, or the sandbox has a daemon that does not know the way.
    pub(super) async fn connect(self, address: SocketAddr) -> Option<Upgraded> {
        let token = HeaderValue::from_str(&self.key.envd_token(self.uid)).ok()?;
        let body: RequestBody = Either::Right(Full::<Bytes>::default());
        let request = Request::get(format!("{LOOPBACK_PATH}{}", address.port()))
            .header(header::HOST, "sandbox")
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, LOOPBACK_PROTOCOL)
            .header(ACCESS_TOKEN_HEADER, token)
            .body(body)
            .ok()?;
        let daemon = SocketAddr::new(address.ip(), DAEMON_PORT);
        let response = match exchange(daemon, request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, %address, "failed to ask for a port of the loopback interface");
                return None;
            }
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
        hyper::upgrade::on(response).await.ok()
    }
}
