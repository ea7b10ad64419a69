//! Receives one file of an upload.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{Stream, StreamExt};
use serde::Serialize;

use super::query::resolve_path;
use super::writer::{Target, Writer};
use crate::account::Account;
use crate::http::ApiError;
use crate::sandbox::Sandbox;

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
