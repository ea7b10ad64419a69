//! What one installation after the other makes, keeps and replaces.

use silica_certs::key::KeyType;
use time::Duration;

use super::*;
use crate::secrets::{plan, served_key_type};

mod foreign;

const NOW: OffsetDateTime = time::macros::datetime!(2026-06-01 12:00 UTC);

fn domains(texts: &[&str]) -> Vec<Domain> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What the cluster holds after an installation.
fn install(
    existing: &Existing,
    domains: &[Domain],
    key: Option<&ApiKey>,
    now: OffsetDateTime,
) -> (SecretPlan, Existing) {
    let plan = plan(existing, domains, key, now).unwrap();
    let made = make(&plan, existing, domains, key, now).unwrap();
    let mut after = existing.clone();
    for object in made.objects {
        if object.resource.kind == "Secret" {
            let secret: Secret = serde_json::from_value(object.content).unwrap();
            after.secrets.insert(object.name, secret);
        } else {
            let map: ConfigMap = serde_json::from_value(object.content).unwrap();
            after.ca_bundle = map.data.unwrap().remove(names::CA_BUNDLE_KEY);
        }
    }
    (plan, after)
}

#[test]
fn a_second_run_makes_nothing() {
    let domains = domains(&["a.example.com"]);
    let (first, after) = install(&Existing::default(), &domains, None, NOW);
    assert!(first.writes_bundle);
    assert_eq!(
        first
            .decisions
            .iter()
            .filter(|(_, decision)| matches!(decision, Decision::Make(_)))
            .count(),
        5
    );
    let (second, _) = install(&after, &domains, None, NOW + Duration::days(1));
    assert!(!second.writes(), "{second:?}");
}

#[test]
fn an_old_leaf_is_renewed_under_the_same_authority() {
    let domains = domains(&["a.example.com"]);
    let (_, after) = install(&Existing::default(), &domains, None, NOW);
    let (later, _) = install(&after, &domains, None, NOW + Duration::days(61));
    assert!(matches!(
        later.decision(SecretKind::ServingCertificate),
        Decision::Make(_)
    ));
    assert_eq!(later.decision(SecretKind::CertificateAuthority), &Decision::Keep);
    assert_eq!(later.decision(SecretKind::TokenKey), &Decision::Keep);
}

#[test]
fn a_chosen_key_type_stays_until_another_is_chosen() {
    let domains = domains(&["a.example.com"]);
    let (_, mut installed) = install(&Existing::default(), &domains, None, NOW);
    assert_eq!(served_key_type(&installed), KeyType::P256);
    let plan = plan(&installed, &domains, None, NOW)
        .unwrap()
        .with_key_type(Some(KeyType::P384));
    let Decision::Make(why) = plan.decision(SecretKind::ServingCertificate) else {
        panic!("kept");
    };
    assert!(why.contains("P-256") && why.contains("P-384"), "{why}");
    let made = make(&plan, &installed, &domains, None, NOW).unwrap();
    let leaf = serde_json::from_value(made.objects[0].content.clone()).unwrap();
    installed.secrets.insert(names::TLS_SECRET.into(), leaf);
    assert_eq!(served_key_type(&installed), KeyType::P384);

    let (again, _) = install(&installed, &domains, None, NOW);
    assert!(!again.with_key_type(Some(KeyType::P384)).writes());
    let (_, renewed) = install(&installed, &domains, None, NOW + Duration::days(61));
    assert_eq!(served_key_type(&renewed), KeyType::P384);
}

#[test]
fn another_domain_needs_a_new_authority_and_keeps_the_old_one_trusted() {
    let (_, after) = install(&Existing::default(), &domains(&["a.example.com"]), None, NOW);
    let both = domains(&["a.example.com", "b.example.com"]);
    let (plan, after) = install(&after, &both, None, NOW);
    assert!(matches!(
        plan.decision(SecretKind::CertificateAuthority),
        Decision::Make(_)
    ));
    assert_eq!(plan.warnings.len(), 1);
    let bundle = after.ca_bundle.unwrap();
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
}

#[test]
fn a_chosen_key_replaces_the_former_one_and_other_keys_stay_valid() {
    let domains = domains(&["a.example.com"]);
    let (_, after) = install(&Existing::default(), &domains, None, NOW);
    let chosen = ApiKey::new("admin-987654321").unwrap();
    let (plan, changed) = install(&after, &domains, Some(&chosen), NOW);
    assert!(matches!(plan.decision(SecretKind::AdminKey), Decision::Make(_)));
    assert!(matches!(plan.decision(SecretKind::ApiKeys), Decision::Make(_)));
    let pepper = |existing: &Existing| {
        entry(existing, names::API_KEYS_SECRET, names::API_KEYS_PEPPER)
            .unwrap()
            .to_vec()
    };
    assert_eq!(pepper(&after), pepper(&changed));
    assert_eq!(plan.decision(SecretKind::CertificateAuthority), &Decision::Keep);
    let (again, _) = install(&changed, &domains, Some(&chosen), NOW);
    assert!(!again.writes());
}

#[test]
fn a_certificate_from_elsewhere_is_used_and_never_written() {
    let domains = domains(&["a.example.com"]);
    let elsewhere = Authority::create(
        &AuthorityRequest::new(vec!["a.example.com".into()], permitted_names(&domains).1),
        NOW,
    )
    .unwrap();
    let leaf = elsewhere
        .issue(&LeafRequest::new(served_names(&domains)), NOW)
        .unwrap();
    let mut foreign = leaf_secret(&leaf, &elsewhere);
    foreign.metadata.labels = None;
    // As `kubectl create secret tls` makes it: without the CA.
    foreign.data.as_mut().unwrap().remove(CA_CERTIFICATE);
    let mut existing = Existing::default();
    existing.secrets.insert(names::TLS_SECRET.into(), foreign);
    let (plan, _) = install(&existing, &domains, None, NOW);
    assert_eq!(plan.decision(SecretKind::ServingCertificate), &Decision::Foreign);
    assert_eq!(
        plan.decision(SecretKind::CertificateAuthority),
        &Decision::Foreign
    );
    assert!(!plan.owned().contains(names::TLS_SECRET));
    let wrong = super::super::plan(&existing, &self::domains(&["b.example.com"]), None, NOW);
    assert!(matches!(
        wrong,
        Err(Error::Unusable {
            name: names::TLS_SECRET,
            ..
        })
    ));
}

#[test]
fn something_that_is_no_authority_is_not_overwritten() {
    let mut existing = Existing::default();
    let secret = opaque(
        names::CA_SECRET,
        [
            (CERTIFICATE.into(), b"junk".to_vec()),
            (PRIVATE_KEY.into(), b"junk".to_vec()),
        ],
    );
    existing.secrets.insert(names::CA_SECRET.into(), secret);
    let refused = super::super::plan(&existing, &domains(&["a.example.com"]), None, NOW);
    assert!(matches!(
        refused,
        Err(Error::Unusable {
            name: names::CA_SECRET,
            ..
        })
    ));
}

#[test]
fn plans_hold_no_key() {
    let chosen = ApiKey::new("admin-987654321").unwrap();
    let (plan, after) = install(
        &Existing::default(),
        &domains(&["a.example.com"]),
        Some(&chosen),
        NOW,
    );
    let shown = format!("{plan:?}");
    assert!(!shown.contains("987654321") && !shown.contains("PRIVATE"));
    assert_eq!(
        entry(&after, names::TOKEN_KEY_SECRET, names::TOKEN_KEY_KEY)
            .unwrap()
            .len(),
        KEY_LENGTH
    );
}
