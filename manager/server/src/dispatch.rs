//! Decides for each request whether it belongs to the API or to a sandbox.

use std::sync::Arc;

use axum::{Router, body::Body};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{self, HeaderName},
    uri::PathAndQuery,
};
use hyper::body::Incoming;
use silica_core::{
    contract::{SANDBOX_ID_HEADER, SANDBOX_PORT_HEADER},
    route::{self, Route},
};
use tower::ServiceExt as _;

use crate::{
    proxy::{self, Aborted, Failure, Form, Peer, Stop},
    state::App,
};

/// Domain that answers hand to the client, as an extension of API requests.
#[derive(Clone, Debug)]
pub(crate) struct RequestDomain(pub(crate) String);

/// Answers one request.
pub(crate) async fn dispatch(
    app: Arc<App>,
    api: Router,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Aborted> {
    // A target in absolute form or of HTTP/2 names the host itself.
    let uri = request.uri().clone();
    let headers = request.headers();
    let parts = route::Request {
        host: uri
            .authority()
            .map(http::uri::Authority::as_str)
            .or_else(|| text(headers, &header::HOST)),
        path: uri.path_and_query().map_or("/", PathAndQuery::as_str),
        sandbox_id: text(headers, &HeaderName::from_static(SANDBOX_ID_HEADER)),
        sandbox_port: text(headers, &HeaderName::from_static(SANDBOX_PORT_HEADER)),
    };
    let form = Form::wanted(headers);
    let is_preflight = is_preflight(&request);
    let failure = match app.routes.route(parts) {
        Route::Sandbox { id, port, path } => match target(path) {
            Some(target) => {
                app.metrics.proxy_requests.increment();
                match proxy::forward(&app, peer, request, &id, port, target).await {
                    // Sandboxes decide themselves about who reads their answers.
                    Ok(response) => return Ok(response),
                    Err(Stop::Aborted) => return Err(Aborted),
                    Err(Stop::Failure(failure)) => failure,
                }
            }
            None => Failure::Invalid(route::Invalid::Host),
        },
        Route::Api { .. } if request.method() == Method::OPTIONS => return Ok(share(preflight())),
        Route::Api { path, domain } => match target(path) {
            Some(target) => {
                app.metrics.api_requests.increment();
                *request.uri_mut() = Uri::from(target);
                request.extensions_mut().insert(RequestDomain(domain));
                return match api.oneshot(request).await {
                    Ok(response) => Ok(share(response)),
                    Err(never) => match never {},
                };
            }
            None => Failure::Invalid(route::Invalid::Host),
        },
        Route::Invalid(reason) => Failure::Invalid(reason),
    };
    // A browser asks first, and reads the error only when that question was answered with success.
    Ok(share(if is_preflight {
        preflight()
    } else {
        failure.render(form)
    }))
}

/// Whether a browser asks if a page may send a request (Fetch standard, section 3.3.2).
fn is_preflight<T>(request: &Request<T>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Path and query as a target; a query alone gets the root path in front.
fn target(path: &str) -> Option<PathAndQuery> {
    if path.starts_with('?') {
        format!("/{path}").parse().ok()
    } else {
        path.parse().ok()
    }
}

/// The answer to any preflight: callers prove themselves by a key in a header,
/// never by a cookie, so every origin may call.
fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD",
        ),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*, Authorization"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets pages of every origin read an answer of this server.
fn share(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "X-Next-Token, X-Total-Running, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset",
        ),
    );
    response
}
