//! Which Secrets an installation needs, without their content.

use silica_api::names;

/// What a Secret holds and how it comes into being.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecretKind {
    /// The certificate authority: made once, never replaced by an installation.
    CertificateAuthority,
    /// The served certificate: issued by the authority, kept while it is valid.
    ServingCertificate,
    /// Random bytes that sandbox access tokens are derived from: made once.
    TokenKey,
    /// The administrator's API key in clear text: made once.
    AdminKey,
    /// The hashed API keys: the administrator's entry is added, others stay.
    ApiKeys,
}

/// A Secret that must exist before the workloads start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SecretRequest {
    /// Name in the namespace of the installation.
    pub name: &'static str,
    /// What it holds.
    pub kind: SecretKind,
    /// Kubernetes type of the Secret.
    pub secret_type: &'static str,
}

/// All Secrets, in the order in which one can be made from the ones before it.
pub const fn requests() -> [SecretRequest; 5] {
    [
        SecretRequest {
            name: names::CA_SECRET,
            kind: SecretKind::CertificateAuthority,
            secret_type: "kubernetes.io/tls",
        },
        SecretRequest {
            name: names::TLS_SECRET,
            kind: SecretKind::ServingCertificate,
            secret_type: "kubernetes.io/tls",
        },
        SecretRequest {
            name: names::TOKEN_KEY_SECRET,
            kind: SecretKind::TokenKey,
            secret_type: "Opaque",
        },
        SecretRequest {
            name: names::ADMIN_KEY_SECRET,
            kind: SecretKind::AdminKey,
            secret_type: "Opaque",
        },
        SecretRequest {
            name: names::API_KEYS_SECRET,
            kind: SecretKind::ApiKeys,
            secret_type: "Opaque",
        },
    ]
}
