//! Makes the content of those Secrets that the plan says to make.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::core::ObjectMeta;
use silica_api::{labels, names, types::Domain};
use silica_certs::{
    authority::{Authority, AuthorityRequest},
    bundle,
    key::ServerKey,
    leaf::{Leaf, LeafRequest},
};
use silica_core::{
    api_key::{ADMIN_KEY_ID, ADMIN_TEAM, ApiKey, StoredKey, hash},
    token::KEY_LENGTH,
};
use silica_manifests::{Object, SecretKind};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    CERTIFICATE, Decision, Error, PRIVATE_KEY, SecretPlan, admin_entry, client_roots, entry, pair,
    permitted_names, served_names, text,
};
use crate::facts::Existing;

/// Key of the CA certificate inside a TLS Secret, where many tools expect it.
pub(crate) use silica_api::names::CA_BUNDLE_KEY as CA_CERTIFICATE;

/// Objects to write, and what the rest of the run needs of them. No `Debug`.
pub struct Made {
    /// Secrets and the trust bundle, only those that have to be written.
    pub objects: Vec<Object>,
    /// The CA certificates that clients need, see [`client_roots`]; empty when the
    /// issuer of the served certificate is public.
    pub client_roots: String,
    /// The administrator's API key.
    pub admin_key: String,
}

/// Makes what the plan says to make.
pub fn make(
    plan: &SecretPlan,
    existing: &Existing,
    domains: &[Domain],
    chosen_key: Option<&ApiKey>,
    now: OffsetDateTime,
) -> Result<Made, Error> {
    let mut objects = Vec::new();
    let makes = |kind| matches!(plan.decision(kind), Decision::Make(_));

    let made_authority = if makes(SecretKind::CertificateAuthority) {
        let (domains, permitted) = permitted_names(domains);
        let authority = Authority::create(&AuthorityRequest::new(domains, permitted), now)?;
        objects.push(Object::of(&authority_secret(&authority)));
        Some(authority)
    } else {
        None
    };
    if makes(SecretKind::ServingCertificate) {
        // Only who signs needs the CA's key, which may be in a form that is not read here.
        let authority = match &made_authority {
            Some(authority) => authority.clone(),
            None => load_authority(existing)?,
        };
        let key = ServerKey::generate(plan.key_type)?;
        let leaf = authority.issue_for(&key, &LeafRequest::new(served_names(domains)), now)?;
        objects.push(Object::of(&leaf_secret(&leaf, &authority)));
    }
    if makes(SecretKind::TokenKey) {
        let key: [u8; KEY_LENGTH] = rand::random();
        objects.push(Object::of(&opaque(
            names::TOKEN_KEY_SECRET,
            [(names::TOKEN_KEY_KEY.into(), key.to_vec())],
        )));
    }
    let admin_key =
        match chosen_key
            .map(ApiKey::reveal)
            .or(text(existing, names::ADMIN_KEY_SECRET, names::ADMIN_KEY_KEY))
        {
            Some(key) => key.to_owned(),
            None => ApiKey::from_random(rand::random()).reveal().to_owned(),
        };
    if makes(SecretKind::AdminKey) {
        let data = [(names::ADMIN_KEY_KEY.into(), admin_key.clone().into_bytes())];
        objects.push(Object::of(&opaque(names::ADMIN_KEY_SECRET, data)));
    }
    if makes(SecretKind::ApiKeys) {
        objects.push(Object::of(&api_keys_secret(existing, &admin_key, now)?));
    }
    let client_roots = if *plan.decision(SecretKind::ServingCertificate) == Decision::Foreign {
        client_roots(existing).unwrap_or_default().to_owned()
    } else {
        let kept = text(existing, names::CA_SECRET, CERTIFICATE).unwrap_or_default();
        let authority = made_authority.as_ref().map_or(kept, Authority::certificate_pem);
        let former = existing.ca_bundle.as_deref().unwrap_or_default();
        let bundle = bundle::merge(&[authority, former], now)?;
        if plan.writes_bundle {
            objects.push(Object::of(&bundle_map(&bundle)));
        }
        bundle
    };
    Ok(Made {
        objects,
        client_roots,
        admin_key,
    })
}

/// The CA of an installation.
pub fn load_authority(existing: &Existing) -> Result<Authority, Error> {
    let found = pair(existing, names::CA_SECRET);
    Ok(Authority::from_pem(
        found.chain_pem.unwrap_or_default(),
        found.key_pem.unwrap_or_default(),
    )?)
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(names::NAMESPACE.into()),
        labels: Some(labels::product()),
        ..ObjectMeta::default()
    }
}

fn secret(name: &str, kind: &str, data: impl IntoIterator<Item = (String, Vec<u8>)>) -> Secret {
    Secret {
        metadata: metadata(name),
        type_: Some(kind.into()),
        data: Some(
            data.into_iter()
                .map(|(key, value)| (key, ByteString(value)))
                .collect::<BTreeMap<_, _>>(),
        ),
        ..Secret::default()
    }
}

fn opaque(name: &str, data: impl IntoIterator<Item = (String, Vec<u8>)>) -> Secret {
    secret(name, "Opaque", data)
}

fn tls(name: &str, certificate: &str, key: &str, authority: &Authority) -> Secret {
    let text = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
    let entries = [
        text(CERTIFICATE, certificate),
        text(PRIVATE_KEY, key),
        text(CA_CERTIFICATE, authority.certificate_pem()),
    ];
    secret(name, "kubernetes.io/tls", entries)
}

/// The Secret with the CA of a rotation that is under way.
pub(crate) fn next_authority_secret(authority: &Authority) -> Secret {
    tls(
        names::CA_NEXT_SECRET,
        authority.certificate_pem(),
        authority.key_pem().expose(),
        authority,
    )
}

/// The Secret with the CA.
pub(crate) fn authority_secret(authority: &Authority) -> Secret {
    tls(
        names::CA_SECRET,
        authority.certificate_pem(),
        authority.key_pem().expose(),
        authority,
    )
}

/// The Secret with the served certificate.
pub fn leaf_secret(leaf: &Leaf, authority: &Authority) -> Secret {
    tls(
        names::TLS_SECRET,
        leaf.chain_pem(),
        leaf.key_pem().expose(),
        authority,
    )
}

fn api_keys_secret(existing: &Existing, admin_key: &str, now: OffsetDateTime) -> Result<Secret, Error> {
    let pepper = match entry(existing, names::API_KEYS_SECRET, names::API_KEYS_PEPPER) {
        Some(pepper) if !pepper.is_empty() => pepper.to_vec(),
        _ => rand::random::<[u8; 32]>().to_vec(),
    };
    let stored = StoredKey {
        id: ADMIN_KEY_ID.into(),
        name: "administrator".into(),
        team: ADMIN_TEAM.into(),
        hash: hash(&pepper, admin_key),
        created_at: now.format(&Rfc3339).unwrap_or_default(),
    };
    // Server-side apply merges entries, so keys that others added stay.
    let entries = [
        (names::API_KEYS_PEPPER.into(), pepper),
        (admin_entry(), serde_json::to_vec(&stored)?),
    ];
    Ok(opaque(names::API_KEYS_SECRET, entries))
}

/// The ConfigMap with the trust bundle.
pub(crate) fn bundle_map(pem: &str) -> ConfigMap {
    ConfigMap {
        metadata: metadata(names::CA_BUNDLE),
        data: Some([(names::CA_BUNDLE_KEY.to_owned(), pem.to_owned())].into()),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests;
