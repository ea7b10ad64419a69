//! When certificates are kept and when they are made again.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod common;

use common::{DOMAIN, authority, leaf, now, server_names, short_authority};
use silica_certs::authority::Authority;
use silica_certs::bundle;
use silica_certs::decide::{self, Decision, Existing, Reason};
use silica_certs::import::{self, Finding};
use silica_certs::leaf::{Leaf, LeafRequest};
use time::{Duration, OffsetDateTime};

fn existing(leaf: &Leaf) -> Existing<'_> {
    Existing {
        chain_pem: Some(leaf.chain_pem()),
        key_pem: Some(leaf.key_pem().expose()),
    }
}

fn existing_authority(authority: &Authority) -> Existing<'_> {
    Existing {
        chain_pem: Some(authority.certificate_pem()),
        key_pem: Some(authority.key_pem().expose()),
    }
}

fn decide(authority: &Authority, found: Existing<'_>, at: OffsetDateTime) -> Decision {
    decide::leaf(found, authority.certificate_pem(), &server_names(), at)
}

#[test]
fn fresh_leaf_is_kept() {
    let authority = authority();
    assert_eq!(
        decide(&authority, existing(&leaf(&authority)), now()),
        Decision::Keep
    );
}

#[test]
fn names_in_another_order_are_the_same_names() {
    let authority = authority();
    let mut names = server_names();
    names.reverse();
    let leaf = authority.issue(&LeafRequest::new(names), now()).unwrap();
    assert_eq!(decide(&authority, existing(&leaf), now()), Decision::Keep);
}

#[test]
fn leaf_is_renewed_at_two_thirds_of_its_life() {
    let authority = authority();
    let leaf = leaf(&authority);
    let due = leaf.not_before() + (leaf.not_after() - leaf.not_before()) * 2 / 3;
    assert_eq!(
        decide(&authority, existing(&leaf), due - Duration::SECOND),
        Decision::Keep
    );
    assert_eq!(
        decide(&authority, existing(&leaf), due),
        Decision::Issue(Reason::RenewalDue { since: due })
    );
}

#[test]
fn expired_and_early_leafs_are_reissued() {
    let authority = authority();
    let leaf = leaf(&authority);
    let (start, end) = (leaf.not_before(), leaf.not_after());
    let at = |moment| decide(&authority, existing(&leaf), moment);
    assert_eq!(
        at(end + Duration::SECOND),
        Decision::Issue(Reason::Expired { at: end })
    );
    assert_eq!(
        at(start - Duration::SECOND),
        Decision::Issue(Reason::NotYetValid { from: start })
    );
}

#[test]
fn changed_domain_is_reissued_with_the_difference() {
    let authority = authority();
    let leaf = authority
        .issue(
            &LeafRequest::new(vec![DOMAIN.into(), format!("old.{DOMAIN}")]),
            now(),
        )
        .unwrap();
    let wanted = [DOMAIN.to_owned(), format!("*.{DOMAIN}")];
    assert_eq!(
        decide::leaf(existing(&leaf), authority.certificate_pem(), &wanted, now()),
        Decision::Issue(Reason::NamesDiffer {
            missing: vec![format!("*.{DOMAIN}")],
            extra: vec![format!("old.{DOMAIN}")]
        })
    );
}

#[test]
fn leaf_of_another_ca_is_reissued() {
    let (authority, other) = (authority(), common::authority());
    assert_eq!(
        decide(&authority, existing(&leaf(&other)), now()),
        Decision::Issue(Reason::OtherAuthority)
    );
}

#[test]
fn damaged_secrets_are_reissued() {
    let authority = authority();
    let (leaf, other) = (leaf(&authority), common::leaf(&authority));
    assert_eq!(
        decide(&authority, Existing::default(), now()),
        Decision::Issue(Reason::Missing)
    );
    let half = Existing {
        key_pem: None,
        ..existing(&leaf)
    };
    assert_eq!(decide(&authority, half, now()), Decision::Issue(Reason::Missing));
    let swapped = Existing {
        key_pem: Some(other.key_pem().expose()),
        ..existing(&leaf)
    };
    assert_eq!(
        decide(&authority, swapped, now()),
        Decision::Issue(Reason::KeyMismatch)
    );
    let garbage = Existing {
        chain_pem: Some("garbage"),
        ..existing(&leaf)
    };
    assert!(matches!(
        decide(&authority, garbage, now()),
        Decision::Issue(Reason::Unreadable { .. })
    ));
}

#[test]
fn existing_material_hides_its_key() {
    let authority = authority();
    assert!(!format!("{:?}", existing_authority(&authority)).contains("PRIVATE"));
}

#[test]
fn authority_is_kept_while_it_serves() {
    let authority = authority();
    let decide = |names: &[String], at| decide::authority(existing_authority(&authority), names, at);
    assert_eq!(decide(&server_names(), now()), Decision::Keep);
    assert_eq!(
        decide(&["new.example".to_owned()], now()),
        Decision::Issue(Reason::NotPermitted {
            names: vec!["new.example".into()]
        })
    );
    let late = authority.inspected().renewal_due();
    assert_eq!(
        decide(&server_names(), late),
        Decision::Issue(Reason::RenewalDue { since: late })
    );
    assert_eq!(
        decide::authority(Existing::default(), &[], now()),
        Decision::Issue(Reason::Missing)
    );
    let leaf = leaf(&authority);
    assert_eq!(
        decide::authority(existing(&leaf), &[], now()),
        Decision::Issue(Reason::NotAuthority)
    );
}

#[test]
fn bundle_holds_each_living_ca_once() {
    let (first, second) = (authority(), common::authority());
    let dying = short_authority(Duration::days(1));
    let later = now() + Duration::days(2);
    let old = format!("# comment\r\n{}", first.certificate_pem().replace('\n', "\r\n"));
    let parts = [
        old.as_str(),
        "",
        second.certificate_pem(),
        dying.certificate_pem(),
        first.certificate_pem(),
    ];
    let merged = bundle::merge(&parts, later).unwrap();
    assert_eq!(
        merged,
        format!("{}{}", first.certificate_pem(), second.certificate_pem())
    );
    let left = bundle::without(&merged, &first.inspected().fingerprint, later).unwrap();
    assert_eq!(left, second.certificate_pem());
}

#[test]
fn bundle_takes_neither_leafs_nor_keys() {
    let authority = authority();
    let leaf = leaf(&authority);
    let refused = |part: &str| bundle::merge(&[authority.certificate_pem(), part], now()).unwrap_err();
    assert!(matches!(
        refused(leaf.chain_pem()),
        bundle::Error::NotAuthority { part: 2, .. }
    ));
    assert!(matches!(
        refused(authority.key_pem().expose()),
        bundle::Error::Pem { part: 2, .. }
    ));
}

#[test]
fn foreign_certificate_is_reviewed_at_once() {
    let authority = authority();
    let leaf = leaf(&authority);
    let root = authority.certificate_pem();
    let review = |chain: &str, key: &Leaf, domains: &[&str], roots: Option<&str>, at| {
        import::review(chain, key.key_pem().expose(), domains, roots, at)
    };
    let good = review(leaf.chain_pem(), &leaf, &[DOMAIN], Some(root), now());
    assert!(
        good.is_acceptable() && good.findings.is_empty(),
        "{:?}",
        good.findings
    );

    // Everything that is wrong comes together.
    let other = common::leaf(&authority);
    let late = leaf.not_after() + Duration::DAY;
    let bad = review(
        leaf.chain_pem(),
        &other,
        &[DOMAIN, "else.example"],
        Some(root),
        late,
    );
    assert_eq!(
        bad.findings,
        [
            Finding::KeyMismatch,
            Finding::NameMissing("else.example".into()),
            Finding::NameMissing("*.else.example".into()),
            Finding::Expired(leaf.not_after()),
        ]
    );

    // As `certs generate` writes it: the root is not in the file.
    let alone = review(leaf.chain_pem(), &leaf, &[DOMAIN], None, now());
    assert!(alone.is_acceptable());
    assert!(
        matches!(alone.findings[..], [Finding::IssuerUnknown { .. }]),
        "{:?}",
        alone.findings
    );
    let stranger = common::authority();
    let foreign = review(
        leaf.chain_pem(),
        &leaf,
        &[DOMAIN],
        Some(stranger.certificate_pem()),
        now(),
    );
    assert!(!foreign.is_acceptable());
    let with_root = format!("{}{root}", leaf.chain_pem());
    let included = review(&with_root, &leaf, &[DOMAIN], None, now());
    assert!(included.is_acceptable());
    assert_eq!(included.findings, [Finding::RootIncluded]);
    let turned = format!("{root}{}", leaf.chain_pem());
    let turned = review(&turned, &leaf, &[DOMAIN], None, now());
    assert!(
        turned.findings.contains(&Finding::AuthorityFirst),
        "{:?}",
        turned.findings
    );
}

#[test]
fn forgotten_intermediate_of_a_public_ca_is_refused() {
    let mut parameters = rcgen::CertificateParams::new([DOMAIN.to_owned(), format!("*.{DOMAIN}")]).unwrap();
    parameters.use_authority_key_identifier_extension = true;
    // Authority information access (RFC 5280 section 4.2.2.1): caIssuers, http://x.test/a
    let mut access = vec![
        0x30, 0x1d, 0x30, 0x1b, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, 0x0f,
    ];
    access.extend(b"http://x.test/a");
    let access = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access);
    parameters.custom_extensions.push(access);
    let issuer = rcgen::Issuer::new(
        rcgen::CertificateParams::default(),
        rcgen::KeyPair::generate().unwrap(),
    );
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = parameters.signed_by(&key, &issuer).unwrap().pem();
    let review = import::review(&chain, &key.serialize_pem(), &[DOMAIN], None, now());
    assert!(
        review
            .findings
            .iter()
            .any(|finding| matches!(finding, Finding::Incomplete { .. })),
        "{:?}",
        review.findings
    );
    assert!(!review.is_acceptable());
}
