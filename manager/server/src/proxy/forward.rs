//! One request through the proxy.

use std::{net::SocketAddr, sync::Arc};

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{self},
    uri::PathAndQuery,
};
use http_body_util::Either;
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use silica_api::types::SandboxId;
use silica_core::contract::TRAFFIC_TOKEN_HEADER;
use silica_runtime_api::{DAEMON_PORT, INTERPRETER_PORT};
use subtle::ConstantTimeEq as _;

use super::{
    body::{Guarded, Lease},
    connection,
    error::Failure,
    headers, internal,
    loopback::Loopback,
    peer::Peer,
    upgrade::tunnel,
    upstream::{self, DialPatience, Target},
    wake,
};
use crate::{initialise, state::App, store::Entry};

/// How long after the claim, or after the latest start, a refused connection is tried again
/// (contract section 6.8).
const FRESH: SignedDuration = SignedDuration::from_secs(10);

/// Why there is no answer of the sandbox.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The connection of the client has to be reset.
    Aborted,
    /// The proxy answers itself.
    Failure(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Sends a request to a port of a sandbox and streams the answer back.
pub(crate) async fn forward(
    app: &Arc<App>,
    peer: Peer,
    mut request: Request<Incoming>,
    id: &SandboxId,
    port: u16,
    target: PathAndQuery,
) -> Result<Response<Body>, Stop> {
    let not_found = || Failure::NotFound { id: id.to_string() };
    let broken = || Failure::Broken {
        id: id.to_string(),
        port,
    };
    let now = Timestamp::now();
    let is_reachable = |entry: &Arc<Entry>| entry.is_routable(now) || wake::is_due(entry, now);
    let Some(mut entry) = app.lookup(id).await.filter(is_reachable) else {
        return Err(not_found().into());
    };
    check(app, &entry, port, &target, request.headers())?;
    if wake::is_due(&entry, now) {
        entry = wake::wake(app, &entry).await.map_err(Failure::Asleep)?;
    }
    let address = entry.address.ok_or_else(not_found)?;
    let own = [DAEMON_PORT, INTERPRETER_PORT].contains(&port);
    if own {
        initialise::catch_up(app, &entry).await;
    }
    let client_upgrade = (request.version() == Version::HTTP_11)
        .then(|| headers::wanted_upgrade(request.headers()))
        .flatten()
        .map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
    let outgoing = prepare(
        request,
        peer,
        target,
        client_upgrade.as_ref().map(|(protocol, _)| protocol),
    );
    let patience = if Timestamp::now().duration_since(entry.fresh_since()) < FRESH {
        DialPatience::Fresh
    } else {
        DialPatience::None
    };
    let upstream = Target {
        address: SocketAddr::new(address, port),
        patience,
        loopback: (!own).then(|| Loopback {
            key: &app.config.token_key,
            uid: &entry.uid,
        }),
    };
    let live = Arc::clone(&entry.live);
    let sent = tokio::select! {
        biased;
        () = live.gone().cancelled() => return Err(Stop::Aborted),
        sent = upstream::send(&live, upstream, outgoing) => sent,
    };
    let (mut response, sender) = match sent {
        Ok(sent) => sent,
        Err(_) if live.is_cut() => return Err(Stop::Aborted),
        Err(connection::Error::Connect { .. }) => {
            let id = id.to_string();
            return Err(Failure::PortClosed { id, port }.into());
        }
        Err(error @ connection::Error::Exchange { .. }) => {
            tracing::debug!(%error, sandbox = %id, port, "a sandbox broke off");
            return Err(broken().into());
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some((_, client)) = client_upgrade else {
            return Err(broken().into());
        };
        let protocol = response.headers().get(header::UPGRADE).cloned();
        tokio::spawn(tunnel(client, hyper::upgrade::on(&mut response), live));
        let (mut parts, _) = response.into_parts();
        headers::remove_hop_by_hop(&mut parts.headers);
        parts
            .headers
            .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(header::UPGRADE, protocol);
        }
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let (mut parts, body) = response.into_parts();
    headers::remove_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    let body = Guarded::new(body, Lease { live, port, sender });
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// Refuses a request that must not reach the sandbox.
fn check(
    app: &App,
    entry: &Entry,
    port: u16,
    target: &PathAndQuery,
    headers: &HeaderMap,
) -> Result<(), Failure> {
    if port == DAEMON_PORT {
        return if internal::is_internal(target.as_str()) {
            Err(Failure::Forbidden("this route is internal to the sandbox"))
        } else {
            Ok(())
        };
    }
    if entry.private_traffic {
        let expected = app.config.token_key.traffic_token(&entry.uid);
        let given = headers
            .get(TRAFFIC_TOKEN_HEADER)
            .map_or(&b""[..], HeaderValue::as_bytes);
        if !bool::from(expected.as_bytes().ct_eq(given)) {
            return Err(Failure::Forbidden("the traffic access token is missing or wrong"));
        }
    }
    Ok(())
}

fn prepare(
    request: Request<Incoming>,
    peer: Peer,
    target: PathAndQuery,
    upgrade: Option<&HeaderValue>,
) -> Request<connection::RequestBody> {
    let (mut parts, body) = request.into_parts();
    // HTTP/2 has the host in the target; an absolute target wins over the header
    // (RFC 9112 section 3.2.2).
    let authority = parts
        .uri
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let host = authority.or_else(|| parts.headers.get(header::HOST).cloned());
    merge_cookies(&mut parts.headers);
    headers::prepare_request(&mut parts.headers, host, peer.address, peer.scheme);
    if let Some(protocol) = upgrade {
        parts
            .headers
            .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, protocol.clone());
    }
    parts.uri = Uri::from(target);
    parts.version = Version::HTTP_11;
    if parts.method == Method::CONNECT {
        parts.method = Method::GET;
    }
    Request::from_parts(parts, Either::Left(body))
}

/// HTTP/2 may split cookies; HTTP/1.1 wants one field (RFC 9113 section 8.2.3).
fn merge_cookies(headers: &mut HeaderMap) {
    let mut all = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(_)) = (all.next(), all.next()) else {
        return;
    };
    let mut merged = first.as_bytes().to_vec();
    for cookie in headers.get_all(header::COOKIE).iter().skip(1) {
        merged.extend_from_slice(b"; ");
        merged.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(merged) = HeaderValue::from_bytes(&merged) {
        headers.insert(header::COOKIE, merged);
    }
}
