//! Errors of the REST API: always a JSON body whose code equals the status,
//! because SDKs read the one or the other (contract section 2.2).

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use silica_core::{cursor, metadata, sealed, timeout};

/// An answer with a status of 400 or above.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    retry: Retry,
}

/// What SDKs may do after the error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Retry {
    /// What they do by default.
    Default,
    /// Nothing: work had begun, or a replay would only wait again.
    Never,
}

impl ApiError {
    /// An error with this status and text.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry: Retry::Default,
        }
    }

    /// 400
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 401
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid API key")
    }

    /// 404 for a sandbox, the same whether it is missing or somebody else's.
    pub(crate) fn sandbox_not_found(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("Sandbox \"{id}\" doesn't exist or you don't have access to it"),
        )
    }

    /// 404 for a template.
    pub(crate) fn template_not_found(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("template '{name}' not found"))
    }

    /// 501 for what this server does not do, with what to do instead.
    pub(crate) fn not_supported(message: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// 503 for an empty pool: nothing was made, but a replay would wait once more.
    pub(crate) fn no_stock(message: String) -> Self {
        Self {
            retry: Retry::Never,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }

    /// Tells SDKs not to send the request again.
    pub(crate) fn without_retry(self) -> Self {
        Self {
            retry: Retry::Never,
            ..self
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.status.as_u16(), "message": self.message });
        let mut response = json_response(self.status, &body);
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if self.retry == Retry::Never {
            headers.insert("should-retry", HeaderValue::from_static("false"));
        }
        response
    }
}

/// A response with a JSON body.
pub(crate) fn json_response(status: StatusCode, body: &impl serde::Serialize) -> Response {
    let mut response = match serde_json::to_vec(body) {
        Ok(bytes) => Response::new(Body::from(bytes)),
        // Maps with string keys always serialize; this cannot be reached.
        Err(_) => Response::new(Body::from(
            r#"{"code":500,"message":"failed to encode the answer"}"#,
        )),
    };
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl From<metadata::Error> for ApiError {
    fn from(error: metadata::Error) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<sealed::Error> for ApiError {
    fn from(error: sealed::Error) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<timeout::Error> for ApiError {
    fn from(error: timeout::Error) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<cursor::Error> for ApiError {
    fn from(error: cursor::Error) -> Self {
        Self::bad_request(error.to_string())
    }
}

/// Errors of the Kubernetes API reach clients without their details, which go to the log.
impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 409 => {
                Self::new(StatusCode::CONFLICT, "the sandbox changed at the same time")
            }
            kube::Error::Api(status) if (400..500).contains(&status.code) => {
                tracing::warn!(
                    code = status.code,
                    message = status.message,
                    "the Kubernetes API refused a request"
                );
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the cluster refused the request",
                )
                .without_retry()
            }
            error => {
                tracing::warn!(%error, "the Kubernetes API failed");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the cluster is not reachable").without_retry()
            }
        }
    }
}
