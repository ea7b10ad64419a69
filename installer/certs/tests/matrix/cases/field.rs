//! Chains as certificate authorities of companies make them, each with one peculiarity.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, DnValue, GeneralSubtree, IsCa, KeyIdMethod,
    KeyUsagePurpose, NameConstraints,
};
use time::{Duration, OffsetDateTime};

use super::{Case, DOMAIN, Expected, FINE, Row, SOMEHOW, WILDCARD, case, refused_by};
use crate::made::{AS_IS, Change, Root};

/// The value of basic constraints with CA:TRUE.
const CA_TRUE: [u8; 5] = [0x30, 0x03, 0x01, 0x01, 0xff];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const SUBJECT_KEY_ID: &[u64] = &[2, 5, 29, 14];
const POLICY_CONSTRAINTS: &[u64] = &[2, 5, 29, 36];
const KEY_ID: [u8; 4] = [1, 2, 3, 4];

/// Only Python from 3.13 on, and `openssl verify -x509_strict`.
const STRICT: Row = refused_by(None, Some(SOMEHOW), None, Some(SOMEHOW), None, None);
/// rustls and Go.
const UNSUPPORTED: Row = refused_by(Some(SOMEHOW), None, None, None, Some(SOMEHOW), None);
/// What OpenSSL is in.
const KEY_ID_MISMATCH: Row = refused_by(
    None,
    Some(SOMEHOW),
    Some(SOMEHOW),
    Some(SOMEHOW),
    None,
    Some(SOMEHOW),
);

/// Leaves the extensions of a CA to [`extension`].
fn by_hand(p: &mut CertificateParams) {
    p.is_ca = IsCa::NoCa;
    p.key_identifier_method = KeyIdMethod::PreSpecified(KEY_ID.to_vec());
}

fn extension(oid: &[u64], value: &[u8], is_critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, value.to_vec());
    extension.set_criticality(is_critical);
    extension
}

fn key_id() -> CustomExtension {
    extension(SUBJECT_KEY_ID, &[&[0x04, 0x04][..], &KEY_ID].concat(), false)
}

fn uncritical(p: &mut CertificateParams) {
    by_hand(p);
    p.custom_extensions = vec![extension(BASIC_CONSTRAINTS, &CA_TRUE, false), key_id()];
}

fn without_key_id(p: &mut CertificateParams) {
    by_hand(p);
    p.custom_extensions = vec![extension(BASIC_CONSTRAINTS, &CA_TRUE, true)];
}

/// A policy is needed below the next certificates, this many.
fn policy_after<const COUNT: u8>(p: &mut CertificateParams) {
    let value = [0x30, 0x03, 0x80, 0x01, COUNT];
    p.custom_extensions = vec![extension(POLICY_CONSTRAINTS, &value, true)];
}

pub(super) fn of_the_field() -> Vec<Case> {
    let names = &[DOMAIN, WILDCARD];
    let root = Root::new("Field Root", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let below = |name: &str, change: Change, expected: Row| {
        let between = root.below("Field Intermediate", change);
        let served = between.leaf(names, AS_IS).followed_by(&between.pem);
        case(name, served, &root.pem, DOMAIN, expected)
    };
    let of_root = |name: &str, change: Change, expected: Row| {
        let root = Root::new("Odd Root", change);
        case(name, root.leaf(names, AS_IS), &root.pem, DOMAIN, expected)
    };
    let of_leaf = |name: &str, change: Change, expected: Row| {
        let between = root.below("Field Intermediate", AS_IS);
        let served = between.leaf_with("leaf", names, change).followed_by(&between.pem);
        case(name, served, &root.pem, DOMAIN, expected)
    };
    let between = root.below("Field Intermediate", AS_IS);
    let leaf = between.leaf(names, AS_IS);
    let mut cases = vec![
        below("intermediate", AS_IS, FINE),
        of_root("root, basic constraints not critical", uncritical, STRICT),
        of_root("root without key id", without_key_id, STRICT),
        below("intermediate, basic constraints not critical", uncritical, STRICT),
        below("intermediate without key id", without_key_id, STRICT),
        below(
            "intermediate without authority key id",
            |p| p.use_authority_key_identifier_extension = false,
            STRICT,
        ),
        of_leaf(
            "leaf that signs certificates",
            |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign),
            STRICT,
        ),
        below(
            "critical policy constraints",
            policy_after::<5>,
            refused_by(Some(SOMEHOW), None, None, None, None, None),
        ),
        below(
            "critical policy constraints, policy missing",
            policy_after::<0>,
            UNSUPPORTED,
        ),
        below(
            "intermediate that ends in five days",
            |p| p.not_after = OffsetDateTime::now_utc() + Duration::days(5),
            FINE,
        ),
        case(
            "intermediate as the client's CA",
            leaf.followed_by(&between.pem),
            &between.pem,
            DOMAIN,
            Row {
                // By its version.
                openssl: Expected::Varies,
                curl: Some(Expected::Accepts),
                ..refused_by(None, None, Some(SOMEHOW), None, None, Some(SOMEHOW))
            },
        ),
        case(
            "intermediate and root as the client's CAs",
            leaf.followed_by(&between.pem),
            &format!("{}{}", between.pem, root.pem),
            DOMAIN,
            FINE,
        ),
        case(
            "unrelated certificate behind",
            leaf.followed_by(&between.pem)
                .followed_by(&Root::new("Stranger", AS_IS).pem),
            &root.pem,
            DOMAIN,
            FINE,
        ),
    ];
    let other_id = root
        .below("Field Intermediate", AS_IS)
        .posing(|p| p.key_identifier_method = KeyIdMethod::PreSpecified(KEY_ID.to_vec()));
    cases.push(case(
        "authority key id of another",
        other_id.leaf(names, AS_IS).followed_by(&other_id.pem),
        &root.pem,
        DOMAIN,
        KEY_ID_MISMATCH,
    ));
    let printable = root.below("Field Intermediate", AS_IS).posing(|p| {
        let name = DnValue::PrintableString("Field Intermediate".try_into().unwrap());
        p.distinguished_name = rcgen::DistinguishedName::new();
        p.distinguished_name.push(DnType::CommonName, name);
    });
    cases.push(case(
        "issuer in another string type",
        printable.leaf(names, AS_IS).followed_by(&printable.pem),
        &root.pem,
        DOMAIN,
        UNSUPPORTED,
    ));
    let excluding = Root::new("Excluding Root", |p| {
        let mut name = rcgen::DistinguishedName::new();
        name.push(DnType::OrganizationName, "Elsewhere");
        p.name_constraints = Some(NameConstraints {
            permitted_subtrees: Vec::new(),
            excluded_subtrees: vec![GeneralSubtree::DirectoryName(name)],
        });
    });
    let between = excluding.below("Field Intermediate", AS_IS);
    cases.push(case(
        "excluded directory name",
        between.leaf_with("leaf", names, AS_IS).followed_by(&between.pem),
        &excluding.pem,
        DOMAIN,
        UNSUPPORTED,
    ));
    let mut chain = String::new();
    let mut last = root.below("Intermediate 1", AS_IS);
    for number in 2..=7 {
        chain = format!("{}{chain}", last.pem);
        last = last.below(&format!("Intermediate {number}"), AS_IS);
    }
    chain = format!("{}{chain}", last.pem);
    cases.push(case(
        "seven intermediates",
        last.leaf(names, AS_IS).followed_by(&chain),
        &root.pem,
        DOMAIN,
        refused_by(Some(SOMEHOW), None, None, None, None, None),
    ));
    cases.push(case(
        "leaf signed with SHA-512",
        root.openssl_leaf(names, "ec -pkeyopt ec_paramgen_curve:P-256", "-sha512"),
        &root.pem,
        DOMAIN,
        Row {
            rustls: Expected::Refuses(SOMEHOW),
            sdk: Some(Expected::Accepts),
            ..FINE
        },
    ));
    let ending = Root::new("Ending Root", |p| {
        p.not_after = OffsetDateTime::now_utc() + Duration::days(5);
    });
    cases.push(case(
        "root that ends in five days",
        ending.leaf(names, AS_IS),
        &ending.pem,
        DOMAIN,
        FINE,
    ));
    cases
}
