//! Errors of the plain HTTP routes: `{"code":404,"message":"..."}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::account::AccountError;
use crate::blocking::Aborted;
use crate::filesystem::FsError;

/// An error with the status it is answered with.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    message: &'a str,
}

impl ApiError {
    /// An error that clients see as it is.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// The client's request is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The caller may not do this.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (
            self.status,
            Json(Body {
                code: self.status.as_u16(),
                message: &self.message,
            }),
        )
            .into_response()
    }
}

impl From<Aborted> for ApiError {
    fn from(error: Aborted) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<FsError> for ApiError {
    fn from(error: FsError) -> Self {
        let status = match &error {
            FsError::NotFound(_) | FsError::UnknownWatcher(_) => StatusCode::NOT_FOUND,
            FsError::NotDirectory(_)
            | FsError::IsDirectory(_)
            | FsError::NotFile(_)
            | FsError::NetworkMount(_) => StatusCode::BAD_REQUEST,
            FsError::Exists(_) => StatusCode::CONFLICT,
            FsError::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            FsError::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        let status = match &error {
            AccountError::Unknown(_) => StatusCode::UNAUTHORIZED,
            AccountError::Read(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}
