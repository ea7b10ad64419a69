//! Verdicts on certificates from elsewhere, good and bad ones, at several moments.

use super::{verdict::judge_by_both_clocks, *};
use silica_api::types::Domain;
use silica_certs::{
    authority::{Authority, AuthorityRequest},
    key::ServerKey,
    leaf::LeafRequest,
    names::server_names,
};
use time::Duration;

/// Made for this test by `openssl genpkey -algorithm ed25519`.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIIXjMOjmchrcsK2SgcB2K0FsTHmY4tH74RrFbToGaKzZ\n-----END PRIVATE KEY-----\n";

const NOW: OffsetDateTime = time::macros::datetime!(2026-06-01 12:00 UTC);

fn domains(name: &str) -> Vec<Domain> {
    vec![name.parse().unwrap()]
}

fn authority() -> Authority {
    Authority::create(
        &AuthorityRequest::new(vec!["a.example.com".into()], Vec::new()),
        NOW,
    )
    .unwrap()
}

fn given(authority: &Authority, names: Vec<String>) -> Given {
    let leaf = authority.issue(&LeafRequest::new(names), NOW).unwrap();
    Given {
        chain: leaf.chain_pem().into(),
        key: leaf.key_pem().clone(),
        measure: Measure::Given(authority.certificate_pem().into()),
    }
}

#[test]
fn the_root_is_not_served_and_the_order_is_repaired() {
    let authority = authority();
    let mut files = given(&authority, server_names(&["a.example.com"], &[]));
    let leaf = files.chain.clone();
    files.chain = format!("{}{leaf}", authority.certificate_pem());
    files.measure = Measure::Public;
    let accepted = judge(
        &files,
        &domains("a.example.com"),
        Front::Manager,
        authority.certificate_pem(),
        NOW,
    )
    .unwrap();
    assert_eq!(accepted.chain, leaf);
    assert_eq!(accepted.root, None, "a public root needs no mention");
    assert_eq!(accepted.warnings.len(), 1, "{:?}", accepted.warnings);
    files.measure = Measure::Any;
    let private = judge(&files, &domains("a.example.com"), Front::Manager, "", NOW).unwrap();
    assert_eq!(private.root.as_deref(), Some(authority.certificate_pem()));
}

#[test]
fn every_reason_is_told_at_once() {
    let authority = authority();
    let mut files = given(&authority, vec!["a.example.com".into()]);
    files.key = given(&authority, vec!["a.example.com".into()]).key;
    let late = NOW + Duration::days(100);
    let Err(CertsError::Refused {
        reasons,
        outcomes,
        is_input,
    }) = judge(&files, &domains("a.example.com"), Front::Manager, "", late)
    else {
        panic!("accepted");
    };
    let all = reasons.join("\n");
    assert!(!is_input);
    assert!(outcomes.iter().all(|one| !one.is_accepted()), "{outcomes:?}");
    for part in ["does not belong", "*.a.example.com", "expired"] {
        assert!(all.contains(part), "{part} is missing in {all}");
    }
}

#[test]
fn dates_have_to_be_right_by_the_clock_of_the_cluster_too() {
    let files = given(&authority(), server_names(&["a.example.com"], &[]));
    let at = |skew| {
        let judged = |now| judge(&files, &domains("a.example.com"), Front::Manager, "", now);
        judge_by_both_clocks(judged, NOW, skew).map(|_| ())
    };
    assert!(at(Duration::ZERO).is_ok() && at(-Duration::minutes(50)).is_ok());
    for (skew, says) in [
        (-Duration::hours(2), "not valid before"),
        (Duration::days(91), "expired"),
    ] {
        let Err(CertsError::Refused { reasons, .. }) = at(skew) else {
            panic!("accepted");
        };
        assert!(reasons[0].contains(says), "{reasons:?}");
        assert!(
            reasons[0].contains("by the cluster's clock, which is"),
            "{reasons:?}"
        );
    }
}

#[test]
fn another_authority_than_the_given_one_is_refused() {
    let mut files = given(&authority(), server_names(&["a.example.com"], &[]));
    files.measure = Measure::Given(authority().certificate_pem().into());
    let refused = judge(&files, &domains("a.example.com"), Front::Manager, "", NOW);
    assert!(matches!(refused, Err(CertsError::Refused { .. })));
}

#[test]
fn an_ed25519_key_is_for_the_manager_alone() {
    let authority = authority();
    let key = ServerKey::load(&PrivateKeyPem::parse(ED25519).unwrap()).unwrap();
    let request = LeafRequest::new(server_names(&["a.example.com"], &[]));
    let leaf = authority.issue_for(&key, &request, NOW).unwrap();
    let files = Given {
        chain: leaf.chain_pem().into(),
        key: leaf.key_pem().clone(),
        measure: Measure::Given(authority.certificate_pem().into()),
    };
    let judged = |front| judge(&files, &domains("a.example.com"), front, "", NOW);
    let accepted = judged(Front::Manager).unwrap();
    assert!(
        accepted
            .warnings
            .iter()
            .any(|warning| warning.contains("Ed25519"))
    );
    let Err(CertsError::Refused { reasons, .. }) = judged(Front::Other) else {
        panic!("accepted");
    };
    assert!(reasons[0].contains("load balancers"), "{reasons:?}");
}

#[test]
fn the_secret_is_not_marked_as_ours() {
    let files = given(&authority(), server_names(&["a.example.com"], &[]));
    let accepted = judge(&files, &domains("a.example.com"), Front::Manager, "", NOW).unwrap();
    assert_eq!(secret(&accepted, files.key.expose()).metadata.labels, None);
}

#[test]
fn a_chain_to_no_known_ca_is_refused_unless_that_is_asked_for() {
    let authority = authority();
    let mut files = given(&authority, server_names(&["a.example.com"], &[]));
    let with_root = format!("{}{}", files.chain, authority.certificate_pem());
    let public = self::authority();
    files.measure = Measure::Public;
    for (chain, says) in [
        (files.chain.clone(), "is missing"),
        (with_root, "none of the CAs that clients trust"),
    ] {
        files.chain = chain;
        for roots in ["", public.certificate_pem()] {
            let Err(CertsError::Refused { reasons, .. }) =
                judge(&files, &domains("a.example.com"), Front::Manager, roots, NOW)
            else {
                panic!("accepted");
            };
            assert!(reasons[0].contains(says), "{reasons:?}");
            assert!(reasons[0].contains("--ca FILE"), "{reasons:?}");
        }
    }
    files.measure = Measure::Any;
    let taken = judge(&files, &domains("a.example.com"), Front::Manager, "", NOW).unwrap();
    assert!(
        taken
            .warnings
            .iter()
            .any(|one| one.contains("no CA of this machine")),
        "{:?}",
        taken.warnings
    );
}
