//! The table: one case a line, one column for each kind of verifier.

mod authorities;
mod field;
mod leafs;

use std::process::Command;
use std::sync::LazyLock;

use silica_certs::authority::{Authority, AuthorityRequest};
use silica_certs::key::{KeyType, ServerKey};
use silica_certs::leaf::{Leaf, LeafRequest};
use silica_certs::names;
use time::OffsetDateTime;

use self::authorities::{of_generations, of_roots};
use self::field::of_the_field;
use self::leafs::{of_leafs, of_odd_keys};
use crate::clients::Client;
use crate::made::Served;

/// The SDK takes names below `localhost` for this machine.
pub(crate) const DOMAIN: &str = "sandbox.localhost";
const WILDCARD: &str = "*.sandbox.localhost";

#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    Accepts,
    /// Refuses, with this in its reason.
    Refuses(&'static str),
    /// One or the other, with the version.
    Varies,
}

/// In a reason that versions word differently.
const SOMEHOW: &str = "";

/// What each verifier says. Python from 3.13 on has one entry for both ways to
/// run it.
pub(crate) struct Row {
    rustls: Expected,
    /// The SDK, where aws-lc can do what ring cannot; as rustls when absent.
    sdk: Option<Expected>,
    openssl: Expected,
    /// curl, where it takes an intermediate for a CA; as Python when absent.
    curl: Option<Expected>,
    python: Expected,
    python_strict: Expected,
    go: Expected,
    node: Expected,
}

impl Row {
    pub(crate) fn of(&self, client: Client) -> Expected {
        match client {
            Client::Rustls => self.rustls,
            Client::Sdk => self.sdk.unwrap_or(self.rustls),
            Client::OpenSsl => self.openssl,
            Client::Curl => self.curl.unwrap_or(self.python),
            // The environment of the tests has a Python of before 3.13, or the checks of after.
            Client::PinnedSdk if is_strict() => self.python_strict,
            Client::Python | Client::PinnedSdk => self.python,
            Client::PythonStrict | Client::Python313 => self.python_strict,
            Client::Go => self.go,
            Client::Node => self.node,
        }
    }
}

/// Whether the Python of the pinned SDK is 3.13 or newer.
fn is_strict() -> bool {
    static STRICT: LazyLock<bool> = LazyLock::new(|| {
        let python = std::env::var_os("SILICA_PYTHON_PINNED").unwrap_or_else(|| "python3".into());
        let check = ["-c", "import sys; sys.exit(sys.version_info < (3, 13))"];
        let status = Command::new(python).args(check).status();
        status.is_ok_and(|status| status.success())
    });
    *STRICT
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
        sdk: None,
        curl: None,
        openssl: cell(openssl),
        python: cell(python),
        python_strict: cell(python_strict),
        go: cell(go),
        node: cell(node),
    }
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

const EXPIRED: Row = refused_by(
    Some("certificate expired"),
    Some("certificate has expired"),
    Some("certificate has expired"),
    Some("certificate has expired"),
    Some("expired or is not yet valid"),
    Some("CERT_HAS_EXPIRED"),
);

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
    cases.extend(of_odd_keys());
    cases.extend(of_roots());
    cases.extend(of_generations());
    cases.extend(of_the_field());
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
    let mismatch = || Row {
        // Versions word it differently.
        curl: Some(Expected::Refuses(SOMEHOW)),
        ..refused_by(
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
