//! Every field of the two certificates, read back with a parser of its own.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod common;

use std::collections::HashSet;

use common::{DOMAIN, authority, leaf, now, server_names, short_authority};
use silica_certs::authority::{self, Authority, AuthorityRequest};
use silica_certs::inspect::{KeyKind, parse_chain};
use silica_certs::key::{KeyType, ServerKey};
use silica_certs::leaf::{self as leaf_errors, LeafRequest, Notice};
use silica_certs::{AUTHORITY_VALIDITY, LEAF_VALIDITY, LEAF_VALIDITY_MAX, pem, verify};
use time::Duration;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_SIG_ECDSA_WITH_SHA256, OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_BASIC_CONSTRAINTS,
    OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_NAME_CONSTRAINTS,
    OID_X509_EXT_SUBJECT_ALT_NAME, OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, Oid,
};
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::X509Certificate;
use x509_parser::x509::X509Version;

fn with_certificate<T>(pem_text: &str, read: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let ders = pem::certificates(pem_text).unwrap();
    assert_eq!(ders.len(), 1);
    let (rest, certificate) = parse_x509_certificate(&ders[0]).unwrap();
    assert!(rest.is_empty());
    read(&certificate)
}

/// Identifiers and criticality of all extensions.
fn extensions(certificate: &X509Certificate<'_>) -> HashSet<(Oid<'static>, bool)> {
    certificate
        .extensions()
        .iter()
        .map(|found| (found.oid.to_owned(), found.critical))
        .collect()
}

#[test]
fn root_has_every_field_of_the_profile() {
    let authority = authority();
    with_certificate(authority.certificate_pem(), |root| {
        assert_eq!(root.version(), X509Version::V3);
        assert_eq!(root.signature_algorithm.algorithm, OID_SIG_ECDSA_WITH_SHA256);
        assert_eq!(root.subject(), root.issuer());
        assert_eq!(
            root.subject()
                .iter_organization()
                .next()
                .unwrap()
                .as_str()
                .unwrap(),
            "Silica"
        );
        let common_name = root
            .subject()
            .iter_common_name()
            .next()
            .unwrap()
            .as_str()
            .unwrap();
        assert!(
            common_name.starts_with("Silica CA 2027-01-15 ") && common_name.len() == 29,
            "{common_name}"
        );
        assert_eq!(root.validity().not_before.to_datetime(), now() - Duration::HOUR);
        assert_eq!(
            root.validity().not_after.to_datetime(),
            now() + AUTHORITY_VALIDITY
        );
        assert_eq!(root.raw_serial().len(), 16);
        assert!((1..0x80).contains(&root.raw_serial()[0]));
        assert_eq!(
            extensions(root),
            HashSet::from([
                (OID_X509_EXT_BASIC_CONSTRAINTS, true),
                (OID_X509_EXT_KEY_USAGE, true),
                (OID_X509_EXT_NAME_CONSTRAINTS, true),
                (OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, false),
                (OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, false),
            ])
        );
        let basic = root.basic_constraints().unwrap().unwrap().value;
        assert!(basic.ca);
        assert_eq!(basic.path_len_constraint, Some(1));
        // keyCertSign is bit 5 and cRLSign bit 6 (RFC 5280 section 4.2.1.3).
        assert_eq!(root.key_usage().unwrap().unwrap().value.flags, 0b110_0000);
        let constraints = root.name_constraints().unwrap().unwrap().value;
        assert!(constraints.excluded_subtrees.is_none());
        let permitted: Vec<_> = constraints
            .permitted_subtrees
            .as_ref()
            .unwrap()
            .iter()
            .map(|tree| tree.base.clone())
            .collect();
        assert_eq!(
            permitted,
            [
                GeneralName::DNSName(DOMAIN),
                GeneralName::DNSName("sandbox-manager.sandbox-system.svc"),
                GeneralName::DNSName("sandbox-manager.sandbox-system.svc.cluster.local"),
            ]
        );
    });
    let inspected = authority.inspected();
    assert_eq!(inspected.key, KeyKind::P256);
    assert!(inspected.subject_key_id.is_some());
    assert_eq!(inspected.subject_key_id, inspected.authority_key_id);
}

#[test]
fn server_certificate_has_every_field_of_the_profile() {
    let authority = authority();
    let leaf = leaf(&authority);
    with_certificate(leaf.chain_pem(), |certificate| {
        assert_eq!(certificate.version(), X509Version::V3);
        assert_eq!(
            certificate.signature_algorithm.algorithm,
            OID_SIG_ECDSA_WITH_SHA256
        );
        assert_eq!(certificate.subject().iter_rdn().count(), 0);
        assert_eq!(certificate.issuer().to_string(), authority.inspected().subject);
        assert_eq!(
            certificate.validity().not_before.to_datetime(),
            now() - Duration::HOUR
        );
        assert_eq!(
            certificate.validity().not_after.to_datetime(),
            now() + LEAF_VALIDITY
        );
        assert_eq!(certificate.raw_serial().len(), 16);
        assert_eq!(
            extensions(certificate),
            HashSet::from([
                (OID_X509_EXT_BASIC_CONSTRAINTS, true),
                (OID_X509_EXT_KEY_USAGE, true),
                (OID_X509_EXT_SUBJECT_ALT_NAME, true),
                (OID_X509_EXT_EXTENDED_KEY_USAGE, false),
                (OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, false),
                (OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, false),
            ])
        );
        let basic = certificate.basic_constraints().unwrap().unwrap().value;
        assert!(!basic.ca && basic.path_len_constraint.is_none());
        // digitalSignature is bit 0.
        assert_eq!(certificate.key_usage().unwrap().unwrap().value.flags, 1);
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth && !usage.any && usage.other.is_empty());
        let identifier = certificate
            .iter_extensions()
            .find_map(|found| match found.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(identifier) => Some(identifier),
                _ => None,
            });
        // Issuer and serial beside the key identifier would break rotations.
        assert!(identifier.unwrap().authority_cert_issuer.is_none());
    });
    let read = &parse_chain(leaf.chain_pem()).unwrap()[0];
    assert_eq!(read.names, server_names());
    assert_eq!(read.key, KeyKind::P256);
    assert_eq!(read.authority_key_id, authority.inspected().subject_key_id);
    assert!(read.subject_key_id.is_some() && read.subject_key_id != read.authority_key_id);
}

#[test]
fn every_key_type_can_be_asked_for() {
    let authority = authority();
    for kind in KeyType::ALL {
        let key = ServerKey::generate(kind).unwrap();
        let request = LeafRequest::new(server_names());
        let leaf = authority.issue_for(&key, &request, now()).unwrap();
        let read = &parse_chain(leaf.chain_pem()).unwrap()[0];
        assert_eq!(read.key, kind.kind());
        let is_rsa = matches!(read.key, KeyKind::Rsa(_));
        let usage = read.key_usage.unwrap();
        // Encrypting to a key is a thing of RSA only (RFC 8813 section 3).
        assert_eq!((usage.digital_signature, usage.key_encipherment), (true, is_rsa));
        verify::key_matches(leaf.chain_pem(), leaf.key_pem().expose()).unwrap();
    }
}

#[test]
fn every_certificate_has_its_own_key_and_serial() {
    let authority = authority();
    let [first, second] = [leaf(&authority), leaf(&authority)];
    let read = |text: &str| parse_chain(text).unwrap().remove(0);
    let (first_read, second_read) = (read(first.chain_pem()), read(second.chain_pem()));
    assert_ne!(first_read.serial, second_read.serial);
    assert_ne!(first_read.public_key_info, second_read.public_key_info);
    assert_ne!(first.key_pem(), second.key_pem());
}

#[test]
fn generations_of_a_ca_can_be_told_apart() {
    assert_ne!(authority().inspected().subject, authority().inspected().subject);
}

#[test]
fn server_certificate_never_outlives_its_ca() {
    let authority = short_authority(Duration::days(30));
    let leaf = authority
        .issue(&LeafRequest::new(vec![DOMAIN.into()]), now())
        .unwrap();
    assert_eq!(leaf.not_after(), authority.inspected().not_after);
    let late = now() + Duration::days(31);
    let error = authority
        .issue(&LeafRequest::new(vec![DOMAIN.into()]), late)
        .unwrap_err();
    assert!(
        matches!(error, leaf_errors::Error::AuthorityNotValid { .. }),
        "{error}"
    );
}

#[test]
fn life_of_a_server_certificate_is_limited() {
    let authority = authority();
    let ask = |validity| {
        authority.issue(
            &LeafRequest {
                names: vec![DOMAIN.into()],
                validity,
            },
            now(),
        )
    };
    let longest = ask(LEAF_VALIDITY_MAX).unwrap();
    // Both ends of the life count.
    assert!(longest.not_after() - longest.not_before() < LEAF_VALIDITY_MAX);
    for refused in [
        LEAF_VALIDITY_MAX + Duration::SECOND,
        Duration::ZERO,
        Duration::days(-1),
    ] {
        assert!(
            matches!(ask(refused), Err(leaf_errors::Error::Validity { .. })),
            "{refused}"
        );
    }
}

#[test]
fn names_outside_of_the_constraints_are_refused() {
    let authority = authority();
    for name in [
        "other.example",
        "example.com",
        "*.example.com",
        "notsandbox.example.com",
    ] {
        let error = authority
            .issue(&LeafRequest::new(vec![DOMAIN.into(), name.into()]), now())
            .unwrap_err();
        assert!(
            matches!(&error, leaf_errors::Error::NotPermitted { name: found, .. } if found == name),
            "{error}"
        );
    }
    assert!(matches!(
        authority.issue(&LeafRequest::new(Vec::new()), now()),
        Err(leaf_errors::Error::NoNames)
    ));
}

#[test]
fn authority_needs_sensible_names_and_life() {
    let create = |request: &AuthorityRequest| Authority::create(request, now());
    assert!(matches!(
        create(&AuthorityRequest::new(Vec::new(), Vec::new())),
        Err(authority::Error::NoDomains)
    ));
    let wildcard = AuthorityRequest::new(vec!["*.example.com".into()], Vec::new());
    assert!(matches!(
        create(&wildcard),
        Err(authority::Error::WildcardConstraint { .. })
    ));
    let bad = AuthorityRequest::new(vec!["a b".into()], Vec::new());
    assert!(matches!(create(&bad), Err(authority::Error::Name(_))));
    let endless = AuthorityRequest {
        validity: Duration::MAX,
        ..AuthorityRequest::new(vec![DOMAIN.into()], Vec::new())
    };
    assert!(matches!(create(&endless), Err(authority::Error::Validity { .. })));
}

#[test]
fn nothing_printed_holds_a_key() {
    let authority = authority();
    let leaf = leaf(&authority);
    let shown = format!("{authority:?} {leaf:?}");
    for key in [authority.key_pem(), leaf.key_pem()] {
        let secret = key.expose().lines().nth(1).unwrap();
        assert!(!shown.contains(secret));
    }
    assert!(!shown.contains("PRIVATE KEY"));
}

#[test]
fn long_lives_and_those_that_the_ca_cuts_are_noticed() {
    let notices = |authority: &Authority, days| {
        let request = LeafRequest {
            names: vec![DOMAIN.into()],
            validity: Duration::days(days),
        };
        let leaf = authority.issue(&request, now()).unwrap();
        leaf.notices(request.validity, now())
    };
    let long = authority();
    assert_eq!(notices(&long, 398), []);
    assert_eq!(notices(&long, 399), [Notice::Long]);
    assert_eq!(notices(&long, 825), [Notice::Long]);
    let ending = short_authority(Duration::days(400));
    let not_after = ending.inspected().not_after;
    assert_eq!(notices(&ending, 90), []);
    assert_eq!(notices(&ending, 500), [Notice::Long, Notice::Cut { not_after }]);
    let dying = short_authority(Duration::days(30));
    let not_after = dying.inspected().not_after;
    assert_eq!(notices(&dying, 90), [Notice::Cut { not_after }]);
}
