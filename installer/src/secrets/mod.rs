//! Decides which Secrets have to be made, and makes them.
//!
//! The decision is pure and holds no key; keys come into being in
//! [`contents`], on their way into a Secret, and go nowhere else.

pub mod contents;
mod decisions;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use silica_api::{names, types::Domain};
use silica_certs::{
    authority, bundle, decide, inspect,
    key::{self, KeyType},
    leaf,
    names::{Service, permitted_services, server_names},
};
use silica_core::api_key::ADMIN_KEY_ID;
use silica_manifests::{SecretKind, SecretRequest};

pub use self::decisions::plan;
pub(crate) use self::decisions::served_key_type;
use crate::facts::{self, Existing};

pub(crate) use silica_api::names::{TLS_CERTIFICATE as CERTIFICATE, TLS_PRIVATE_KEY as PRIVATE_KEY};

/// Why secrets cannot be decided on or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something of a user's that must not be overwritten is in the way.
    #[error("failed to use Secret {}/{name}: {why}", names::NAMESPACE)]
    Unusable { name: &'static str, why: String },
    /// A new CA could not be made.
    #[error("failed to make the certificate authority")]
    Authority(#[from] authority::Error),
    /// The server certificate could not be issued.
    #[error("failed to issue the server certificate")]
    Leaf(#[from] leaf::Error),
    /// The server certificate has no key.
    #[error("failed to make the server's key")]
    Key(#[from] key::Error),
    /// The trust bundle cannot be put together.
    #[error("failed to put the trust bundle together")]
    Bundle(#[from] bundle::Error),
    /// A certificate cannot be read.
    #[error("failed to read a certificate")]
    Inspect(#[from] inspect::Error),
    /// A stored entry could not be written as JSON.
    #[error("failed to write an API key entry")]
    Entry(#[from] serde_json::Error),
}

/// What happens to one Secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// It is good as it is.
    Keep,
    /// Somebody else's, which fits; never written.
    Foreign,
    /// It is made, for this reason.
    Make(String),
}

/// The decisions, without any secret.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretPlan {
    /// One decision a Secret.
    pub decisions: Vec<(SecretRequest, Decision)>,
    /// Whether the trust bundle has to be written.
    pub writes_bundle: bool,
    /// What kind of key a new server certificate gets: that of the present one,
    /// unless another was chosen.
    pub key_type: KeyType,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl SecretPlan {
    /// What happens to the Secret of this kind.
    pub fn decision(&self, kind: SecretKind) -> &Decision {
        const KEEP: &Decision = &Decision::Keep;
        self.decisions
            .iter()
            .find(|(request, _)| request.kind == kind)
            .map_or(KEEP, |(_, decision)| decision)
    }

    /// The plan for a server certificate with a key of this type; one of
    /// another type is replaced. `None` is no choice.
    #[must_use]
    pub fn with_key_type(mut self, chosen: Option<KeyType>) -> Self {
        let Some(chosen) = chosen.filter(|chosen| *chosen != self.key_type) else {
            return self;
        };
        let present = self.key_type.kind();
        for (request, decision) in &mut self.decisions {
            match decision {
                _ if request.kind != SecretKind::ServingCertificate => {}
                Decision::Keep => {
                    *decision = Decision::Make(format!("its key is {present}, {} is chosen", chosen.kind()));
                }
                Decision::Foreign => self.warnings.push(format!(
                    "Secret {}: the key type {chosen} has no effect on a certificate from elsewhere",
                    request.name
                )),
                Decision::Make(_) => {}
            }
        }
        self.key_type = chosen;
        self
    }

    /// Whether anything is written.
    pub fn writes(&self) -> bool {
        self.writes_bundle
            || self
                .decisions
                .iter()
                .any(|(_, decision)| matches!(decision, Decision::Make(_)))
    }

    /// Whether this Secret is somebody else's: never written, and never removed.
    pub fn is_foreign(&self, name: &str) -> bool {
        self.decisions
            .iter()
            .any(|(request, decision)| request.name == name && *decision == Decision::Foreign)
    }

    /// Whether the trust bundle belongs to the installation.
    pub fn owns_bundle(&self) -> bool {
        !self.is_foreign(names::TLS_SECRET) || !self.is_foreign(names::CA_SECRET)
    }

    /// Names of the Secrets that belong to the installation.
    pub fn owned(&self) -> BTreeSet<&'static str> {
        let ours = self
            .decisions
            .iter()
            .filter(|(_, decision)| *decision != Decision::Foreign);
        ours.map(|(request, _)| request.name).collect()
    }
}

/// One entry of a Secret.
pub(crate) fn entry<'a>(existing: &'a Existing, name: &str, key: &str) -> Option<&'a [u8]> {
    existing
        .secrets
        .get(name)?
        .data
        .as_ref()?
        .get(key)
        .map(|bytes| bytes.0.as_slice())
}

/// One entry of a Secret, when it is text.
pub(crate) fn text<'a>(existing: &'a Existing, name: &str, key: &str) -> Option<&'a str> {
    std::str::from_utf8(entry(existing, name, key)?).ok()
}

/// Certificate and key of a TLS Secret.
pub(crate) fn pair<'a>(existing: &'a Existing, name: &str) -> decide::Existing<'a> {
    decide::Existing {
        chain_pem: text(existing, name, CERTIFICATE),
        key_pem: text(existing, name, PRIVATE_KEY),
    }
}

/// Whether `install` made it, rather than a user or another issuer. A Certificate of
/// cert-manager that was put over a Secret of ours leaves our label in place.
pub(crate) fn is_ours(secret: &Secret) -> bool {
    facts::is_ours(&secret.metadata)
}

/// The CA certificates that clients need, as PEM: the trust bundle, and for a served
/// certificate from elsewhere the CA that came with it. `None` when clients accept
/// that by themselves, since its issuer is public.
pub fn client_roots(existing: &Existing) -> Option<&str> {
    let is_own = existing.secrets.get(names::TLS_SECRET).is_none_or(is_ours);
    let bundle = existing.ca_bundle.as_deref().filter(|_| is_own);
    // Others put their CA beside the certificate, issuers of public ones leave it empty.
    bundle
        .or_else(|| text(existing, names::TLS_SECRET, contents::CA_CERTIFICATE))
        .filter(|roots| !roots.trim().is_empty())
}

fn services() -> [Service; 1] {
    [Service::new(names::MANAGER, names::NAMESPACE)]
}

/// The names of the served certificate.
pub fn served_names(domains: &[Domain]) -> Vec<String> {
    server_names(domains, &services())
}

/// The names that the CA has to permit.
pub(crate) fn permitted_names(domains: &[Domain]) -> (Vec<String>, Vec<String>) {
    (
        domains.iter().map(ToString::to_string).collect(),
        permitted_services(&services()),
    )
}

/// Name of the administrator's entry among the API keys.
pub(crate) fn admin_entry() -> String {
    format!("{ADMIN_KEY_ID}.json")
}

/// An entry as text of its own, when it is text.
pub(crate) fn owned_text(entry: Option<&[u8]>) -> Option<String> {
    entry
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .map(str::to_owned)
}
