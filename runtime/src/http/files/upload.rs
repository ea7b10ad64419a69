//! `POST /files`: one file as the body, or several as `multipart/form-data`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use futures::{Stream, StreamExt};
use serde::Serialize;
use silica_runtime_api::METADATA_HEADER_PREFIX;

use super::multipart;
use super::query::{FileQuery, resolve_path};
use super::writer::{Target, Writer};
use crate::access::Operation;
use crate::account::Account;
use crate::filesystem::metadata;
use crate::http::ApiError;
use crate::http::extract::Parameters;
use crate::http::idle;
use crate::sandbox::Sandbox;

/// Most bytes of a refused upload that are read.
const DRAIN_LIMIT: usize = 256 * 1024 * 1024;

/// One written file, as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    path: String,
    name: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

impl Written {
    /// Describes a file that was written.
    pub(crate) fn new(path: &Path, metadata: BTreeMap<String, String>) -> Self {
        Self {
            path: path.to_string_lossy().into_owned(),
            name: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            r#type: "file",
            metadata,
        }
    }
}

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
        None => vec![upload.receive_body(request.into_body()).await?],
    };
    Ok(Json(written))
}

/// What applies to all files of one request.
pub(super) struct Upload {
    pub sandbox: Arc<Sandbox>,
    pub account: Account,
    pub metadata: BTreeMap<String, String>,
    /// Whole body compressed with gzip.
    pub gzip: bool,
    /// Destination in the query.
    pub path: Option<String>,
}

impl Upload {
    async fn receive_body(&self, body: Body) -> Result<Written, ApiError> {
        let raw = self
            .path
            .as_deref()
            .ok_or_else(|| ApiError::bad_request("query parameter 'path' is missing"))?;
        let path = self.resolve(raw);
        let mut content = idle::limit(body.into_data_stream());
        let written = self.receive_file(path, &mut content, self.gzip).await;
        if written.is_err() {
            drain(&mut content).await;
        }
        written
    }

    /// Absolute form of a destination.
    pub(super) fn resolve(&self, raw: &str) -> PathBuf {
        resolve_path(raw, &self.account, &self.sandbox)
    }

    /// Writes one file as its content arrives.
    pub(super) async fn receive_file<E: std::fmt::Display>(
        &self,
        path: PathBuf,
        content: impl Stream<Item = Result<bytes::Bytes, E>>,
        gzip: bool,
    ) -> Result<Written, ApiError> {
        let mut writer = Writer::new(Target {
            path: path.clone(),
            account: self.account.clone(),
            metadata: self.metadata.clone(),
            gzip,
        });
        let mut content = std::pin::pin!(content);
        while let Some(chunk) = content.next().await {
            let chunk = chunk
                .map_err(|error| ApiError::bad_request(format!("failed to read the upload: {error}")))?;
            if !chunk.is_empty() {
                writer.write(chunk).await?;
            }
        }
        writer.finish().await?;
        Ok(Written::new(&path, self.metadata.clone()))
    }
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
