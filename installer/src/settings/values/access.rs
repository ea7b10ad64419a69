//! What clients of the E2B SDKs see.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretText;

/// `e2b`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct E2b {
    /// Domain that clients use as E2B_DOMAIN, without `*.`; may be repeated
    #[schemars(extend("type" = ["array", "string"], "x-flag" = "domain", "x-short" = "d", "x-value" = "DOMAIN", "x-heading" = "Access"))]
    pub domain: Vec<String>,
    /// Whether clients need an API key
    #[schemars(extend("x-flag" = "auth", "x-heading" = "Access"))]
    pub enable_auth: bool,
    /// API key of the administrator; generated when absent
    #[schemars(extend("x-env" = "SILICA_ADMIN_KEY", "x-heading" = "Access", "x-secret" = true))]
    pub admin_api_key: Option<SecretText>,
}

impl Default for E2b {
    fn default() -> Self {
        Self {
            domain: Vec::new(),
            enable_auth: true,
            admin_api_key: None,
        }
    }
}

/// `certificate`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Certificate {
    /// Key of the server certificate: p256, p384, rsa2048, rsa3072 or rsa4096; that of the present one, or p256, when absent
    #[schemars(extend("x-flag" = "key-type", "x-value" = "TYPE", "x-heading" = "Access"))]
    pub key_type: Option<String>,
}
