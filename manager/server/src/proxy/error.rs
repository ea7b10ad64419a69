//! Answers of the proxy itself. SDKs match the two texts of the 502 answers, and
//! `is_running()` is false only for the first (contract section 6.3).

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use serde_json::{Value, json};
use silica_core::route::Invalid;

use super::page::{self, Form};
use crate::error::{ApiError, json_response};

/// The sandbox died during the request: the connection is reset instead of
/// answered, because a clean end would look like the end of the work (section 6.4).
#[derive(Debug, thiserror::Error)]
#[error("the sandbox was killed during the request")]
pub(crate) struct Aborted;

/// Why a request got no answer of a sandbox.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such sandbox, or it does not run.
    NotFound { id: String },
    /// Nothing listens.
    PortClosed { id: String, port: u16 },
    /// The application broke off before it answered.
    Broken { id: String, port: u16 },
    /// The request must not reach the sandbox.
    Forbidden(&'static str),
    /// The request names no sandbox.
    Invalid(Invalid),
    /// A paused sandbox could not be resumed.
    Asleep(ApiError),
}

impl Failure {
    /// The answer, in the form that the client reads.
    pub(crate) fn render(self, form: Form) -> Response {
        if form == Form::Json {
            return self.into_json();
        }
        let (message, id, port) = match &self {
            Self::NotFound { id } => ("The sandbox was not found".to_owned(), Some(id.clone()), None),
            Self::PortClosed { id, port } => (
                format!("The sandbox is running, but nothing listens on port {port}"),
                Some(id.clone()),
                Some(*port),
            ),
            Self::Broken { id, port } => (BROKEN.to_owned(), Some(id.clone()), Some(*port)),
            Self::Forbidden(message) => ((*message).to_owned(), None, None),
            Self::Invalid(reason) => (reason.to_string(), None, None),
            Self::Asleep(error) => (error.to_string(), None, None),
        };
        // Status and headers are those of the other form.
        let (mut parts, _) = self.into_json().into_parts();
        let text = page::render(parts.status, &message, id.as_deref(), port);
        parts.headers.remove(http::header::CONTENT_LENGTH);
        parts
            .headers
            .insert(http::header::CONTENT_TYPE, page::CONTENT_TYPE);
        Response::from_parts(parts, Body::from(text))
    }

    fn into_json(self) -> Response {
        match self {
            Self::NotFound { id } => bad_gateway(&json!({
                "sandboxId": id, "message": "The sandbox was not found", "code": 502,
            })),
            Self::PortClosed { id, port } => bad_gateway(&json!({
                "sandboxId": id, "message": "The sandbox is running but port is not open", "port": port,
                "code": 502,
            })),
            Self::Broken { id, port } => bad_gateway(&json!({
                "sandboxId": id, "message": BROKEN, "port": port, "code": 502,
            })),
            Self::Forbidden(message) => ApiError::new(StatusCode::FORBIDDEN, message).into_response(),
            Self::Invalid(reason) => ApiError::bad_request(reason.to_string()).into_response(),
            Self::Asleep(error) => error.into_response(),
        }
    }
}

const BROKEN: &str = "The sandbox closed the connection without an answer";

fn bad_gateway(body: &Value) -> Response {
    json_response(StatusCode::BAD_GATEWAY, body)
}
