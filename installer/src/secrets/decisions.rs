//! What is there is kept, replaced or left to whoever made it. Pure.

use std::collections::BTreeSet;

use silica_api::{names, types::Domain};
use silica_certs::{
    decide::{self, Reason},
    import, inspect,
    key::KeyType,
};
use silica_core::{
    api_key::{ApiKey, StoredKey, hash},
    token::KEY_LENGTH,
};
use silica_manifests::{SecretKind, SecretRequest, secret_requests};
use time::OffsetDateTime;

use super::{
    CERTIFICATE, Decision, Error, SecretPlan, admin_entry, contents, entry, is_ours, pair, permitted_names,
    served_names, text,
};
use crate::facts::Existing;

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
            // A certificate from elsewhere needs no CA of ours: one that is left rests, and that
            // of another issuer is that one's business, with its key in whatever form.
            SecretKind::CertificateAuthority if foreign => match existing.secrets.get(request.name) {
                Some(secret) if is_ours(secret) => Decision::Keep,
                _ => Decision::Foreign,
            },
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
    let makes_authority = matches!(plan.decision(SecretKind::CertificateAuthority), Decision::Make(_));
    plan.writes_bundle = !foreign && (makes_authority || !bundle_has_authority(existing));
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
    let secret = existing.secrets.get(names::CA_SECRET);
    let is_foreign = secret.is_some_and(|secret| !is_ours(secret));
    let kept = if is_foreign {
        Decision::Foreign
    } else {
        Decision::Keep
    };
    Ok(match decide::authority(found, &permitted, now) {
        decide::Decision::Keep => kept,
        decide::Decision::Issue(Reason::Missing) if secret.is_none() => {
            Decision::Make(Reason::Missing.to_string())
        }
        decide::Decision::Issue(reason @ Reason::RenewalDue { .. }) => {
            warnings.push(format!("the CA should be replaced soon: {reason}"));
            kept
        }
        decide::Decision::Issue(reason @ (Reason::Expired { .. } | Reason::NotPermitted { .. }))
            if !is_foreign =>
        {
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
