//! `POST /files`: one file as the body, or several as `multipart/form-data`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use futures::{Stream, StreamExt};
use silica_runtime_api::METADATA_HEADER_PREFIX;

use super::multipart;
use super::query::FileQuery;
use super::receive::{Upload, Written};
use crate::access::Operation;
use crate::filesystem::metadata;
use crate::http::ApiError;
use crate::http::extract::Parameters;
use crate::http::idle;
use crate::sandbox::Sandbox;

/// Most bytes of a refused upload that are read.
const DRAIN_LIMIT: usize = 256 * 1024 * 1024;

pub(crate) async fn serve(
    State(sandbox): State<Arc<Sandbox>>,
    Parameters(query): Parameters<FileQuery>,
    request: Request<Body>,
) -> Result<Json<Vec<Written>>, ApiError> {
    let account = match query.authorize(&sandbox, request.headers(), Operation::Write) {
        Ok(account) => account,
        Err(error) => {
            drain(&mut idle::limit(request.into_body().into_data_stream())).await;
            return Err(error);
        }
    };
    let upload = Upload {
        metadata: read_metadata(request.headers())?,
        gzip: read_encoding(request.headers())?,
        path: query.path.filter(|path| !path.is_empty()),
        account,
        sandbox,
    };
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(|value| multer::parse_boundary(value).ok());
    let written = match boundary {
        Some(boundary) => multipart::receive(&upload, boundary, request.into_body()).await?,
        None => vec![receive_body(&upload, request.into_body()).await?],
    };
    Ok(Json(written))
}

/// Writes the body as one file.
async fn receive_body(upload: &Upload, body: Body) -> Result<Written, ApiError> {
    let raw = upload
        .path
        .as_deref()
        .ok_or_else(|| ApiError::bad_request("query parameter 'path' is missing"))?;
    let path = upload.resolve(raw);
    let mut content = idle::limit(body.into_data_stream());
    let written = upload.receive_file(path, &mut content, upload.gzip).await;
    if written.is_err() {
        drain(&mut content).await;
    }
    written
}

/// Reads on after an error, within reason: a client that is still sending would
/// otherwise see a broken connection instead of the answer.
async fn drain<E>(content: &mut (impl Stream<Item = Result<bytes::Bytes, E>> + Unpin)) {
    let mut left = DRAIN_LIMIT;
    while let Some(Ok(chunk)) = content.next().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}

fn read_metadata(headers: &HeaderMap) -> Result<BTreeMap<String, String>, ApiError> {
    let pairs = headers.iter().filter_map(|(name, value)| {
        Some((
            name.as_str().strip_prefix(METADATA_HEADER_PREFIX)?,
            value.as_bytes(),
        ))
    });
    metadata::validate(pairs).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn read_encoding(headers: &HeaderMap) -> Result<bool, ApiError> {
    let encoding = headers
        .get(CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok());
    match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => Ok(false),
        Some("gzip") => Ok(true),
        Some(other) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("content encoding '{other}' is not supported"),
        )),
    }
}
