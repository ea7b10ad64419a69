//! Server certificates with one peculiarity each.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use super::{Case, DOMAIN, EXPIRED, Expected, FINE, Row, SOMEHOW, WILDCARD, case, refused_by};
use crate::made::{AS_IS, Root, Served};

/// Nothing but the names: no basic constraints, no usage, no identifiers.
fn names_only(parameters: &mut CertificateParams) {
    parameters.is_ca = IsCa::NoCa;
    parameters.key_usages.clear();
    parameters.extended_key_usages.clear();
    parameters.use_authority_key_identifier_extension = false;
}

/// Keys and signatures that only OpenSSL makes.
pub(super) fn of_odd_keys() -> Vec<Case> {
    let root = Root::new("Test Root", AS_IS);
    let names = &[DOMAIN, WILDCARD];
    let one = |name: &str, served: Served, expected: Row| case(name, served, &root.pem, DOMAIN, expected);
    // openssl verify and Node have the level of security that they were built with.
    let weak = |go: Expected, node: Expected| Row {
        openssl: Expected::Varies,
        go,
        node,
        ..refused_by(Some(SOMEHOW), None, Some(SOMEHOW), Some(SOMEHOW), None, None)
    };
    vec![
        one(
            "leaf with a P-521 key",
            root.openssl_leaf(names, "ec -pkeyopt ec_paramgen_curve:P-521", "-sha256"),
            Row {
                rustls: Expected::Refuses(SOMEHOW),
                sdk: Some(Expected::Accepts),
                ..FINE
            },
        ),
        one(
            "leaf with an RSA key of 1024 bits",
            root.openssl_leaf(names, "rsa:1024", "-sha256"),
            weak(Expected::Accepts, Expected::Varies),
        ),
        one(
            "leaf signed with SHA-1",
            root.openssl_leaf(names, "ec -pkeyopt ec_paramgen_curve:P-256", "-sha1"),
            weak(Expected::Refuses(SOMEHOW), Expected::Refuses(SOMEHOW)),
        ),
    ]
}

pub(super) fn of_leafs() -> Vec<Case> {
    let root = Root::new("Test Root", AS_IS);
    let one = |name: &str, served: Served, expected: Row| case(name, served, &root.pem, DOMAIN, expected);
    let all = &[DOMAIN, WILDCARD];
    let wrong_purpose = Row {
        sdk: Some(Expected::Refuses("EkuError")),
        ..refused_by(
            Some("does not allow extended key usage for server authentication"),
            Some("unsuitable certificate purpose"),
            Some("unsuitable certificate purpose"),
            Some("unsuitable certificate purpose"),
            Some("incompatible key usage"),
            Some("INVALID_PURPOSE"),
        )
    };
    let no_identifier = refused_by(
        None,
        Some("Missing Authority Key Identifier"),
        None,
        Some("Missing Authority Key Identifier"),
        None,
        None,
    );
    let common_name_only = refused_by(
        Some("certificate not valid for name"),
        None,
        None,
        None,
        Some("legacy Common Name"),
        None,
    );
    vec![
        one("leaf with an Ed25519 key", root.ed25519_leaf(all), FINE),
        one(
            "leaf without subject alternative names",
            root.leaf_with(DOMAIN, &[], AS_IS),
            common_name_only,
        ),
        one(
            "leaf without extended key usage",
            root.leaf(all, |p| p.extended_key_usages.clear()),
            FINE,
        ),
        one(
            "leaf with names only",
            root.leaf(all, names_only),
            refused_by(
                None,
                Some("Missing Authority Key Identifier"),
                None,
                Some("Missing Authority Key Identifier"),
                None,
                None,
            ),
        ),
        one(
            "leaf with names and authority key identifier only",
            root.leaf(all, |p| {
                names_only(p);
                p.use_authority_key_identifier_extension = true;
            }),
            FINE,
        ),
        one(
            "leaf whose key must not sign handshakes",
            root.leaf(all, |p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
            FINE,
        ),
        one(
            "leaf for clients only",
            root.leaf(all, |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            wrong_purpose,
        ),
        one(
            "leaf without authority key identifier",
            root.leaf(all, |p| p.use_authority_key_identifier_extension = false),
            no_identifier,
        ),
        one(
            "leaf that lives 1200 days",
            root.leaf(all, |p| p.not_after = p.not_before + Duration::days(1200)),
            FINE,
        ),
        one(
            "leaf that has ended",
            root.leaf(all, |p| {
                p.not_before -= Duration::days(91);
                p.not_after -= Duration::days(91);
            }),
            EXPIRED,
        ),
        one(
            "leaf that begins in 3 minutes",
            root.leaf(all, |p| {
                p.not_before = OffsetDateTime::now_utc() + Duration::minutes(3);
            }),
            refused_by(
                Some("certificate not valid yet"),
                Some("certificate is not yet valid"),
                Some("certificate is not yet valid"),
                Some("certificate is not yet valid"),
                Some("expired or is not yet valid"),
                Some("CERT_NOT_YET_VALID"),
            ),
        ),
    ]
}
