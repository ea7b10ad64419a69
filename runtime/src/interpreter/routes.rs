//! HTTP routes of the code interpreter. Errors are plain text in one sentence,
//! refusals of requests included: the SDKs put the body into their exceptions.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use silica_runtime_api::ACCESS_TOKEN_HEADER;
use tokio_stream::wrappers::ReceiverStream;

use super::Interpreter;
use super::contexts::ContextInfo;
use super::kernel::KernelError;
use super::language::Language;
use crate::http::allow_any_origin;

/// All routes of the interpreter's port.
pub fn router(interpreter: Arc<Interpreter>) -> Router {
    Router::new()
        .route("/health", get(|| async { Json("OK") }))
        .route("/execute", post(execute))
        .route("/contexts", get(list).post(create))
        .route("/contexts/{id}", delete(remove))
        .route("/contexts/{id}/restart", post(restart))
        .fallback(async || TextError(StatusCode::NOT_FOUND, "this route does not exist".to_owned()))
        .method_not_allowed_fallback(async || {
            let message = "this route does not have that method";
            TextError(StatusCode::METHOD_NOT_ALLOWED, message.to_owned())
        })
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(allow_any_origin))
        .with_state(interpreter)
}

#[derive(Deserialize)]
struct ExecuteRequest {
    code: String,
    context_id: Option<String>,
    language: Option<String>,
    env_vars: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct CreateRequest {
    language: Option<String>,
    cwd: Option<String>,
}

/// An error as text.
struct TextError(StatusCode, String);

impl IntoResponse for TextError {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

/// A JSON body, whatever its content type says; an empty one counts as `{}`.
struct Payload<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Payload<T> {
    type Rejection = TextError;

    async fn from_request(request: Request, state: &S) -> Result<Self, TextError> {
        let bad = |message| TextError(StatusCode::BAD_REQUEST, message);
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| bad(rejection.body_text()))?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let value = serde_json::from_slice(text)
            .map_err(|error| bad(format!("the body is not what this route takes: {error}")))?;
        Ok(Self(value))
    }
}

impl From<KernelError> for TextError {
    fn from(error: KernelError) -> Self {
        let status = match error {
            KernelError::NoDirectory(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

async fn execute(
    State(interpreter): State<Arc<Interpreter>>,
    headers: HeaderMap,
    Payload(request): Payload<ExecuteRequest>,
) -> Result<Response, TextError> {
    // Every SDK sends the token here, though not with contexts.
    let token = headers
        .get(ACCESS_TOKEN_HEADER)
        .and_then(|value| value.to_str().ok());
    if !interpreter.sandbox.access.allows(token) {
        return Err(TextError(
            StatusCode::UNAUTHORIZED,
            "a valid access token is required".to_owned(),
        ));
    }
    let context = match (request.context_id, request.language) {
        (Some(_), Some(_)) => {
            let message = "Only one of context_id or language can be provided";
            return Err(TextError(StatusCode::BAD_REQUEST, message.to_owned()));
        }
        (Some(id), None) => interpreter.find(&id).ok_or_else(|| unknown_context(&id))?,
        (None, language) => interpreter.default_context(parse_language(language.as_deref())?),
    };
    let env = request.env_vars.unwrap_or_default();
    let lines = interpreter.execute(context, request.code, env).await?;
    let body = Body::from_stream(ReceiverStream::new(lines).map(Ok::<_, Infallible>));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

async fn list(State(interpreter): State<Arc<Interpreter>>) -> Json<Vec<ContextInfo>> {
    Json(interpreter.list())
}

async fn create(
    State(interpreter): State<Arc<Interpreter>>,
    Payload(request): Payload<CreateRequest>,
) -> Result<Json<ContextInfo>, TextError> {
    let language = parse_language(request.language.as_deref())?;
    Ok(Json(interpreter.create(language, request.cwd).await?))
}

async fn restart(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<Json<()>, TextError> {
    let context = interpreter.find(&id).ok_or_else(|| unknown_context(&id))?;
    interpreter.restart(&context).await?;
    Ok(Json(()))
}

async fn remove(
    State(interpreter): State<Arc<Interpreter>>,
    Path(id): Path<String>,
) -> Result<Json<()>, TextError> {
    if interpreter.remove(&id) {
        Ok(Json(()))
    } else {
        Err(unknown_context(&id))
    }
}

fn parse_language(name: Option<&str>) -> Result<Language, TextError> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("python");
    Language::parse(name).ok_or_else(|| {
        let message = format!("language '{name}' is not supported by this sandbox");
        TextError(StatusCode::INTERNAL_SERVER_ERROR, message)
    })
}

fn unknown_context(id: &str) -> TextError {
    TextError(StatusCode::NOT_FOUND, format!("Context {id} not found"))
}
