//! Body of `POST /init`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What the manager tells a sandbox's daemon when the sandbox is handed out or resumed.
///
/// Every field is optional; an absent field changes nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InitRequest {
    /// Global environment variables; replaces the previous set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<BTreeMap<String, String>>,
    /// New access token; the empty string opens the daemon to everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// User of requests that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_user: Option<String>,
    /// Working directory of commands that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_workdir: Option<String>,
    /// RFC 3339 time of the request; a request older than the last one is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

impl fmt::Debug for InitRequest {
    /// Leaves out values: tokens and environment variables are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitRequest")
            .field(
                "env_vars",
                &self.env_vars.as_ref().map(|vars| vars.keys().collect::<Vec<_>>()),
            )
            .field("access_token", &self.access_token.as_ref().map(|_| "<redacted>"))
            .field("default_user", &self.default_user)
            .field("default_workdir", &self.default_workdir)
            .field("timestamp", &self.timestamp)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_secrets() {
        let request = InitRequest {
            env_vars: Some(BTreeMap::from([("KEY".to_owned(), "s3cret".to_owned())])),
            access_token: Some("t0ken".to_owned()),
            ..InitRequest::default()
        };
        let text = format!("{request:?}");
        assert!(text.contains("KEY"));
        assert!(!text.contains("s3cret") && !text.contains("t0ken"));
    }
}
