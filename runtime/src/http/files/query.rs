//! Query parameters of `/files`, and who may use them.

use std::path::{Path, PathBuf};

use axum::http::HeaderMap;
use jiff::Timestamp;
use serde::Deserialize;

use crate::access::{Operation, SignedQuery, verify_signature};
use crate::account::Account;
use crate::filesystem::path::resolve;
use crate::http::ApiError;
use crate::http::auth::presented_token;
use crate::sandbox::Sandbox;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct FileQuery {
    pub path: Option<String>,
    pub username: Option<String>,
    signature: Option<String>,
    signature_expiration: Option<i64>,
}

impl FileQuery {
    /// Checks the token or the signature, and finds the acting user.
    pub(crate) fn authorize(
        &self,
        sandbox: &Sandbox,
        headers: &HeaderMap,
        operation: Operation,
    ) -> Result<Account, ApiError> {
        if !sandbox.access.allows(presented_token(headers)) {
            let query = SignedQuery {
                path: self.path.as_deref().unwrap_or_default(),
                username: self.username.as_deref().unwrap_or_default(),
                signature: self.signature.as_deref(),
                expiration: self.signature_expiration,
            };
            verify_signature(&sandbox.access, operation, query, Timestamp::now().as_second())
                .map_err(|error| ApiError::unauthorized(error.to_string()))?;
        }
        Ok(sandbox.account(self.username.as_deref())?)
    }
}

/// Resolves a path of a request.
pub(super) fn resolve_path(raw: &str, account: &Account, sandbox: &Sandbox) -> PathBuf {
    let workdir = sandbox.settings().default_workdir;
    resolve(
        raw,
        &account.home,
        workdir.as_deref().filter(|path| !path.is_empty()).map(Path::new),
    )
}
