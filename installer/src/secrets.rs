//! Decides which Secrets have to be made, and makes them.
//!
//! The decision is pure and holds no key; keys come into being in
//! [`contents`], on their way into a Secret, and go nowhere else.

pub mod contents;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use silica_api::{labels, names, types::Domain};
use silica_certs::{
    authority, bundle,
    decide::{self, Reason},
    import, inspect,
    key::{self, KeyType},
    leaf,
    names::{Service, permitted_services, server_names},
};
use silica_core::api_key::{ADMIN_KEY_ID, ApiKey, StoredKey, hash};
use silica_core::token::KEY_LENGTH;
use silica_manifests::{SecretKind, SecretRequest, secret_requests};
use time::OffsetDateTime;

use crate::facts::Existing;

pub(crate) const CERTIFICATE: &str = "tls.crt";
pub(crate) const PRIVATE_KEY: &str = "tls.key";

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

/// Whether `install` made it, rather than a user or another issuer.
pub(crate) fn is_ours(secret: &Secret) -> bool {
    let labels = secret.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(labels::APP_MANAGED_BY))
        .is_some_and(|value| value == names::PRODUCT)
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

/// Decides on every Secret. Pure.
pub fn plan(
    existing: &Existing,
    domains: &[Domain],
    chosen_key: Option<&ApiKey>,
    now: OffsetDateTime,
) -> Result<SecretPlan, Error> {
    let mut warnings = Vec::new();
    let mut decisions = Vec::new();
    let foreign = foreign_certificate(existing, domains, now, &mut warnings)?;
    for request in secret_requests() {
        let decision = match request.kind {
            SecretKind::CertificateAuthority if foreign && !existing.secrets.contains_key(request.name) => {
                // A certificate from elsewhere needs no CA of ours.
                Decision::Foreign
            }
            SecretKind::CertificateAuthority => authority_decision(existing, domains, now, &mut warnings)?,
            SecretKind::ServingCertificate if foreign => Decision::Foreign,
            SecretKind::ServingCertificate => {
                let new_authority =
                    decisions
                        .iter()
                        .any(|(request, decision): &(SecretRequest, Decision)| {
                            request.kind == SecretKind::CertificateAuthority
                                && matches!(decision, Decision::Make(_))
                        });
                leaf_decision(existing, domains, new_authority, now)
            }
            SecretKind::TokenKey => token_key_decision(existing)?,
            SecretKind::AdminKey => admin_key_decision(existing, chosen_key),
            SecretKind::ApiKeys => api_keys_decision(existing, chosen_key),
        };
        decisions.push((request, decision));
    }
    let mut plan = SecretPlan {
        decisions,
        writes_bundle: false,
        key_type: served_key_type(existing),
        warnings,
    };
    plan.writes_bundle = match plan.decision(SecretKind::CertificateAuthority) {
        Decision::Foreign => false,
        Decision::Make(_) => true,
        Decision::Keep => !bundle_has_authority(existing),
    };
    Ok(plan)
}

/// The type of the served certificate's key; the usual one when there is none,
/// or none that could be made again.
pub(crate) fn served_key_type(existing: &Existing) -> KeyType {
    pair(existing, names::TLS_SECRET)
        .chain_pem
        .and_then(|chain| KeyType::of(&inspect::parse_chain(chain).ok()?.first()?.key))
        .unwrap_or_default()
}

/// Whether the served certificate comes from somebody else, checked for use.
fn foreign_certificate(
    existing: &Existing,
    domains: &[Domain],
    now: OffsetDateTime,
    warnings: &mut Vec<String>,
) -> Result<bool, Error> {
    let Some(secret) = existing.secrets.get(names::TLS_SECRET) else {
        return Ok(false);
    };
    if is_ours(secret) {
        return Ok(false);
    }
    let found = pair(existing, names::TLS_SECRET);
    let (chain, key) = (
        found.chain_pem.unwrap_or_default(),
        found.key_pem.unwrap_or_default(),
    );
    // Issuers of public certificates leave the entry empty.
    let roots =
        text(existing, names::TLS_SECRET, contents::CA_CERTIFICATE).filter(|roots| !roots.trim().is_empty());
    let review = import::review(chain, key, domains, roots, now);
    let (refusals, notices): (Vec<_>, Vec<_>) =
        review.findings.iter().partition(|finding| finding.is_refusal());
    if !refusals.is_empty() {
        let why = refusals
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ");
        return Err(Error::Unusable {
            name: names::TLS_SECRET,
            why,
        });
    }
    warnings.extend(
        notices
            .iter()
            .map(|finding| format!("Secret {}: {finding}", names::TLS_SECRET)),
    );
    Ok(true)
}

fn authority_decision(
    existing: &Existing,
    domains: &[Domain],
    now: OffsetDateTime,
    warnings: &mut Vec<String>,
) -> Result<Decision, Error> {
    let (mut permitted, services) = permitted_names(domains);
    permitted.extend(services);
    let found = pair(existing, names::CA_SECRET);
    Ok(match decide::authority(found, &permitted, now) {
        decide::Decision::Keep => Decision::Keep,
        decide::Decision::Issue(Reason::Missing) if !existing.secrets.contains_key(names::CA_SECRET) => {
            Decision::Make(Reason::Missing.to_string())
        }
        decide::Decision::Issue(reason @ Reason::RenewalDue { .. }) => {
            warnings.push(format!("the CA should be replaced soon: {reason}"));
            Decision::Keep
        }
        decide::Decision::Issue(reason @ (Reason::Expired { .. } | Reason::NotPermitted { .. })) => {
            warnings.push(format!(
                "a new CA is made, because {reason}; clients must trust it: silica certs export"
            ));
            Decision::Make(reason.to_string())
        }
        // Anything else is no CA of ours: overwriting it could destroy a key.
        decide::Decision::Issue(reason) => {
            return Err(Error::Unusable {
                name: names::CA_SECRET,
                why: reason.to_string(),
            });
        }
    })
}

fn leaf_decision(
    existing: &Existing,
    domains: &[Domain],
    new_authority: bool,
    now: OffsetDateTime,
) -> Decision {
    if new_authority && existing.secrets.contains_key(names::TLS_SECRET) {
        return Decision::Make("the CA is replaced".into());
    }
    let authority = text(existing, names::CA_SECRET, CERTIFICATE).unwrap_or_default();
    match decide::leaf(
        pair(existing, names::TLS_SECRET),
        authority,
        &served_names(domains),
        now,
    ) {
        decide::Decision::Keep => Decision::Keep,
        decide::Decision::Issue(reason) => Decision::Make(reason.to_string()),
    }
}

fn token_key_decision(existing: &Existing) -> Result<Decision, Error> {
    match entry(existing, names::TOKEN_KEY_SECRET, names::TOKEN_KEY_KEY) {
        None => Ok(Decision::Make("it does not exist".into())),
        Some(key) if key.len() == KEY_LENGTH => Ok(Decision::Keep),
        // Replacing it would lock every running sandbox.
        Some(key) => Err(Error::Unusable {
            name: names::TOKEN_KEY_SECRET,
            why: format!("its key has {} bytes, {KEY_LENGTH} are needed", key.len()),
        }),
    }
}

fn admin_key_decision(existing: &Existing, chosen: Option<&ApiKey>) -> Decision {
    let found = text(existing, names::ADMIN_KEY_SECRET, names::ADMIN_KEY_KEY);
    match (found, chosen) {
        (None, _) => Decision::Make("it does not exist".into()),
        (Some(found), Some(chosen)) if found != chosen.reveal() => {
            Decision::Make("another key was chosen".into())
        }
        (Some(_), _) => Decision::Keep,
    }
}

fn api_keys_decision(existing: &Existing, chosen: Option<&ApiKey>) -> Decision {
    let current = text(existing, names::ADMIN_KEY_SECRET, names::ADMIN_KEY_KEY);
    let Some(key) = chosen.map(ApiKey::reveal).or(current) else {
        return Decision::Make("the administrator's key is new".into());
    };
    let pepper = entry(existing, names::API_KEYS_SECRET, names::API_KEYS_PEPPER).unwrap_or_default();
    let stored = entry(existing, names::API_KEYS_SECRET, &admin_entry())
        .and_then(|json| serde_json::from_slice::<StoredKey>(json).ok());
    match stored {
        Some(stored) if !pepper.is_empty() && stored.hash == hash(pepper, key) => Decision::Keep,
        Some(_) => Decision::Make("the administrator's entry is for another key".into()),
        None => Decision::Make("the administrator's entry does not exist".into()),
    }
}

/// Name of the administrator's entry among the API keys.
pub(crate) fn admin_entry() -> String {
    format!("{ADMIN_KEY_ID}.json")
}

fn bundle_has_authority(existing: &Existing) -> bool {
    let Some(bundle) = &existing.ca_bundle else {
        return false;
    };
    let Some(authority) = text(existing, names::CA_SECRET, CERTIFICATE) else {
        return false;
    };
    let fingerprints = |pem: &str| {
        inspect::parse_chain(pem).map(|chain| {
            chain
                .into_iter()
                .map(|one| one.fingerprint)
                .collect::<BTreeSet<_>>()
        })
    };
    match (fingerprints(bundle), fingerprints(authority)) {
        (Ok(bundle), Ok(authority)) => authority.is_subset(&bundle),
        _ => false,
    }
}

/// An entry as text of its own, when it is text.
pub(crate) fn owned_text(entry: Option<&[u8]>) -> Option<String> {
    entry
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .map(str::to_owned)
}
