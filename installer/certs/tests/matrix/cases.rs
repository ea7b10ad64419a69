//! The table: one case a line, one column for each kind of verifier.

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use silica_certs::authority::{Authority, AuthorityRequest};
use silica_certs::key::{KeyType, ServerKey};
use silica_certs::leaf::{Leaf, LeafRequest};
use silica_certs::names;
use time::{Duration, OffsetDateTime};

use crate::clients::Client;
use crate::made::{self, AS_IS, Root, Served};

const DOMAIN: &str = "sandbox.example.com";
const WILDCARD: &str = "*.sandbox.example.com";

#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    Accepts,
    /// Refuses, with this in its reason.
    Refuses(&'static str),
}

/// What each verifier says. Python from 3.13 on has one entry for both ways to
/// run it.
pub(crate) struct Row {
    rustls: Expected,
    openssl: Expected,
    python: Expected,
    python_strict: Expected,
    go: Expected,
    node: Expected,
}

impl Row {
    pub(crate) fn of(&self, client: Client) -> Expected {
        match client {
            Client::Rustls => self.rustls,
            Client::OpenSsl => self.openssl,
            Client::Python => self.python,
            Client::PythonStrict | Client::Python313 => self.python_strict,
            Client::Go => self.go,
            Client::Node => self.node,
        }
    }
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) served: Served,
    pub(crate) roots: String,
    pub(crate) host: String,
    pub(crate) expected: Row,
}

/// Everybody accepts.
const FINE: Row = refused_by(None, None, None, None, None, None);

const fn refused_by(
    rustls: Option<&'static str>,
    openssl: Option<&'static str>,
    python: Option<&'static str>,
    python_strict: Option<&'static str>,
    go: Option<&'static str>,
    node: Option<&'static str>,
) -> Row {
    const fn cell(reason: Option<&'static str>) -> Expected {
        match reason {
            None => Expected::Accepts,
            Some(part) => Expected::Refuses(part),
        }
    }
    Row {
        rustls: cell(rustls),
        openssl: cell(openssl),
        python: cell(python),
        python_strict: cell(python_strict),
        go: cell(go),
        node: cell(node),
    }
}

fn case(name: impl Into<String>, served: Served, roots: &str, host: &str, expected: Row) -> Case {
    Case {
        name: name.into(),
        served,
        roots: roots.to_owned(),
        host: host.to_owned(),
        expected,
    }
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = of_the_product();
    cases.extend(of_leafs());
    cases.extend(of_roots());
    cases.extend(of_generations());
    cases
}

fn served(leaf: &Leaf) -> Served {
    Served {
        chain: leaf.chain_pem().to_owned(),
        key: leaf.key_pem().expose().to_owned(),
    }
}

/// What this crate issues: accepted by all, for what it is meant for.
fn of_the_product() -> Vec<Case> {
    let now = OffsetDateTime::now_utc();
    let wanted = AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new());
    let (old, new) = (
        Authority::create(&wanted, now).unwrap(),
        Authority::create(&wanted, now).unwrap(),
    );
    let request = LeafRequest::new(names::server_names(&[DOMAIN], &[]));
    let sandbox = format!("49983-default--a1b2c.{DOMAIN}");
    let root = old.certificate_pem();
    let mut cases = Vec::new();
    for kind in KeyType::ALL {
        let leaf = old
            .issue_for(&ServerKey::generate(kind).unwrap(), &request, now)
            .unwrap();
        cases.push(case(
            format!("own, {kind}, apex"),
            served(&leaf),
            root,
            DOMAIN,
            FINE,
        ));
        cases.push(case(
            format!("own, {kind}, sandbox"),
            served(&leaf),
            root,
            &sandbox,
            FINE,
        ));
    }
    let leaf = old.issue(&request, now).unwrap();
    let mismatch = || {
        refused_by(
            Some("certificate not valid for name"),
            Some("ostname mismatch"),
            Some("Hostname mismatch"),
            Some("Hostname mismatch"),
            Some("certificate is valid for"),
            Some("ERR_TLS_CERT_ALTNAME_INVALID"),
        )
    };
    let two_labels = format!("a.b.{DOMAIN}");
    cases.push(case(
        "own, two labels below the domain",
        served(&leaf),
        root,
        &two_labels,
        mismatch(),
    ));
    cases.push(case(
        "own, root sent along",
        served(&leaf).followed_by(root),
        root,
        DOMAIN,
        FINE,
    ));
    cases.push(case(
        "own, client has another CA",
        served(&leaf),
        new.certificate_pem(),
        DOMAIN,
        UNKNOWN,
    ));

    let next = new
        .issue(&request, now)
        .unwrap()
        .with_cross(&old.cross_certify(&new, now).unwrap());
    let bundle = format!("{root}{}", new.certificate_pem());
    cases.push(case(
        "own, cross certificate, old CA only",
        served(&next),
        root,
        DOMAIN,
        FINE,
    ));
    cases.push(case(
        "own, cross certificate, new CA only",
        served(&next),
        new.certificate_pem(),
        DOMAIN,
        FINE,
    ));
    cases.push(case(
        "own, cross certificate, both CAs",
        served(&next),
        &bundle,
        &sandbox,
        FINE,
    ));
    cases
}

/// No CA of the client's has this name.
const UNKNOWN: Row = refused_by(
    Some("UnknownIssuer"),
    Some("unable to get local issuer certificate"),
    Some("unable to get local issuer certificate"),
    Some("unable to get local issuer certificate"),
    Some("unknown authority"),
    Some("UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
);

fn of_leafs() -> Vec<Case> {
    let root = Root::new("Test Root", AS_IS);
    let one = |name: &str, served: Served, expected: Row| case(name, served, &root.pem, DOMAIN, expected);
    let all = &[DOMAIN, WILDCARD];
    let wrong_purpose = refused_by(
        Some("does not allow extended key usage for server authentication"),
        Some("unsuitable certificate purpose"),
        Some("unsuitable certificate purpose"),
        Some("unsuitable certificate purpose"),
        Some("incompatible key usage"),
        Some("INVALID_PURPOSE"),
    );
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

const EXPIRED: Row = refused_by(
    Some("certificate expired"),
    Some("certificate has expired"),
    Some("certificate has expired"),
    Some("certificate has expired"),
    Some("expired or is not yet valid"),
    Some("CERT_HAS_EXPIRED"),
);

fn of_roots() -> Vec<Case> {
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
fn of_generations() -> Vec<Case> {
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
