//! Answers of the proxy itself. SDKs match the two texts of the 502 answers, and
//! `is_running()` is false only for the first (contract section 6.3).

use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use silica_core::route::Invalid;

use crate::error::json_response;

/// The sandbox died during the request: the connection is reset instead of
/// answered, because a clean end would look like the end of the work (section 6.4).
#[derive(Debug, thiserror::Error)]
#[error("the sandbox was killed during the request")]
pub(crate) struct Aborted;

pub(super) fn not_found(id: &str) -> Response {
    let status = StatusCode::BAD_GATEWAY;
    json_response(
        status,
        &json!({ "sandboxId": id, "message": "The sandbox was not found", "code": status.as_u16() }),
    )
}

pub(super) fn port_closed(id: &str, port: u16) -> Response {
    let status = StatusCode::BAD_GATEWAY;
    let message = "The sandbox is running but port is not open";
    json_response(
        status,
        &json!({ "sandboxId": id, "message": message, "port": port, "code": status.as_u16() }),
    )
}

/// An upstream that broke off before it answered.
pub(super) fn broken(id: &str, port: u16) -> Response {
    let status = StatusCode::BAD_GATEWAY;
    let message = "The sandbox closed the connection without an answer";
    json_response(
        status,
        &json!({ "sandboxId": id, "message": message, "port": port, "code": status.as_u16() }),
    )
}

pub(super) fn forbidden(message: &str) -> Response {
    let status = StatusCode::FORBIDDEN;
    json_response(status, &json!({ "code": status.as_u16(), "message": message }))
}

pub(crate) fn invalid(reason: Invalid) -> Response {
    let status = StatusCode::BAD_REQUEST;
    json_response(
        status,
        &json!({ "code": status.as_u16(), "message": reason.to_string() }),
    )
}
