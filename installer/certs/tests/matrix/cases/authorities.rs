//! CAs with one peculiarity each, and one CA after another.

use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use super::{Case, DOMAIN, EXPIRED, Expected, FINE, Row, SOMEHOW, UNKNOWN, WILDCARD, case, refused_by};
use crate::made::{self, AS_IS, Root};

pub(super) fn of_roots() -> Vec<Case> {
    let names = &[DOMAIN, WILDCARD];
    let of = |name: &str, root: &Root, expected: Row| {
        case(name, root.leaf(names, AS_IS), &root.pem, DOMAIN, expected)
    };
    let alone = made::self_signed(DOMAIN);
    vec![
        of("root with an Ed25519 key", &Root::ed25519(), FINE),
        of(
            "root without key usage",
            &Root::new("Silent Root", |p| p.key_usages.clear()),
            refused_by(
                None,
                Some("CA cert does not include key usage extension"),
                None,
                // Of the two faults the first one found is told.
                Some("key usage"),
                None,
                None,
            ),
        ),
        of(
            "root that must not sign",
            &Root::new("Silenced Root", |p| p.key_usages = vec![KeyUsagePurpose::CrlSign]),
            refused_by(
                None,
                Some(SOMEHOW),
                Some(SOMEHOW),
                Some(SOMEHOW),
                Some(SOMEHOW),
                Some(SOMEHOW),
            ),
        ),
        of(
            "root that does not permit the name",
            &Root::new("Limited Root", made::limited_to_elsewhere),
            refused_by(
                Some("NameConstraintViolation"),
                Some("permitted subtree violation"),
                Some("permitted subtree violation"),
                Some("permitted subtree violation"),
                Some("is not permitted by any constraint"),
                Some("permitted subtree violation"),
            ),
        ),
        of(
            "root that has ended, leaf alive",
            &Root::new("Old Root", |p| {
                p.not_after = OffsetDateTime::now_utc() - Duration::MINUTE;
            }),
            Row {
                // A trust anchor is a name and a key there, without dates.
                rustls: Expected::Accepts,
                ..EXPIRED
            },
        ),
        case(
            "self-signed CA certificate as the server's",
            alone.clone(),
            &alone.chain,
            DOMAIN,
            Row {
                rustls: Expected::Refuses("CaUsedAsEndEntity"),
                ..FINE
            },
        ),
    ]
}

/// Two CAs, one after the other.
pub(super) fn of_generations() -> Vec<Case> {
    let names = &[DOMAIN, WILDCARD];
    // As the scripts do that give every CA the same name.
    let (old, new) = (Root::new("Same Root", AS_IS), Root::new("Same Root", AS_IS));
    let leaf = new.leaf(names, AS_IS);
    let bundle = |first: &Root, second: &Root| format!("{}{}", first.pem, second.pem);
    let crossed = |old: &Root| {
        let new = Root::new("New Root", AS_IS);
        new.leaf(names, AS_IS).followed_by(&old.cross(&new))
    };
    let roomy = Root::new("Roomy Root", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let tight = Root::new("Tight Root", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    // A certificate between that has nothing to do with it.
    let crossed_behind = |old: &Root, other: &Root| {
        let new = Root::new("New Root", AS_IS);
        new.leaf(names, AS_IS)
            .followed_by(&other.pem)
            .followed_by(&old.cross(&new))
    };
    vec![
        case(
            "same name, bundle old and new",
            leaf.clone(),
            &bundle(&old, &new),
            DOMAIN,
            FINE,
        ),
        case(
            "same name, bundle new and old",
            leaf.clone(),
            &bundle(&new, &old),
            DOMAIN,
            FINE,
        ),
        case(
            "same name, client has the old CA only",
            leaf,
            &old.pem,
            DOMAIN,
            Row {
                rustls: Expected::Refuses("BadSignature"),
                ..UNKNOWN
            },
        ),
        case(
            "cross certificate, in the wrong place",
            crossed_behind(&roomy, &old),
            &roomy.pem,
            DOMAIN,
            FINE,
        ),
        case(
            "cross certificate, old root unlimited",
            crossed(&roomy),
            &roomy.pem,
            DOMAIN,
            FINE,
        ),
        case(
            "cross certificate, old root of path length 0",
            crossed(&tight),
            &tight.pem,
            DOMAIN,
            refused_by(
                None,
                Some("path length constraint exceeded"),
                Some("path length constraint exceeded"),
                Some("path length constraint exceeded"),
                Some("too many intermediates"),
                Some("PATH_LENGTH_EXCEEDED"),
            ),
        ),
    ]
}
