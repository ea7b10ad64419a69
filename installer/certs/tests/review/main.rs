//! The verdict on certificates of others: what is weak, what is missing behind what
//! is wrong, and what each kind of client would say.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

#[path = "../common/mod.rs"]
mod common;

use common::{DOMAIN, now};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use silica_certs::import::{self, Client, Finding, Review};
use silica_certs::inspect::KeyKind;
use time::Duration;

/// Made by OpenSSL for these tests, since nothing here would make them: each a
/// key with its certificate.
const SHORT: &str = include_str!("weak/short.pem");
const OF_WEAK_ROOT: &str = include_str!("weak/of-weak-root.pem");
const SHA1: &str = include_str!("weak/sha1.pem");
const ROOT: &str = include_str!("weak/root.pem");
const WEAK_ROOT: &str = include_str!("weak/weak-root.pem");
const RSA_ROOT: &str = include_str!("weak/rsa-root.pem");

/// A CA that rcgen signs with.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Made {
    chain: String,
    key: String,
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.not_before = now() - Duration::HOUR;
    parameters.not_after = now() + Duration::days(90);
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

fn ca(name: &str, by: Option<&Ca>, change: fn(&mut CertificateParams)) -> Ca {
    let mut parameters = parameters(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    change(&mut parameters);
    let key = KeyPair::generate().unwrap();
    let certificate = match by {
        None => parameters.self_signed(&key),
        Some(above) => parameters.signed_by(&key, &above.issuer),
    };
    Ca {
        pem: certificate.unwrap().pem(),
        issuer: Issuer::new(parameters, key),
    }
}

fn leaf(by: &Ca, change: fn(&mut CertificateParams)) -> Made {
    let mut parameters = parameters("server");
    let names = [DOMAIN.to_owned(), format!("*.{DOMAIN}")];
    parameters.subject_alt_names = names
        .map(|name| rcgen::SanType::DnsName(name.try_into().unwrap()))
        .into();
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut parameters);
    let key = KeyPair::generate().unwrap();
    Made {
        chain: parameters.signed_by(&key, &by.issuer).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn review(chain: &str, key: &str, roots: &str) -> Review {
    import::review(chain, key, &[DOMAIN], Some(roots), now())
}

/// Key and certificate of one of the files.
fn parts(file: &str) -> (&str, &str) {
    file.split_at(file.find("-----BEGIN CERTIFICATE").unwrap())
}

fn refusals(review: &Review) -> Vec<&Finding> {
    let findings = review.findings.iter();
    findings.filter(|finding| finding.is_refusal()).collect()
}

fn accepting(review: &Review) -> Vec<Client> {
    let outcomes = review.outcomes().into_iter();
    outcomes
        .filter(import::Outcome::is_accepted)
        .map(|one| one.client)
        .collect()
}

#[test]
fn weak_keys_and_signatures_are_told_once_and_by_their_names() {
    let (key, chain) = parts(SHORT);
    let short = review(chain, key, ROOT);
    let weak = |subject: &str| Finding::WeakKey {
        subject: subject.to_owned(),
        key: KeyKind::Rsa(1024),
    };
    assert_eq!(refusals(&short), [&weak("CN=short")], "{short:?}");

    let (key, chain) = parts(OF_WEAK_ROOT);
    let below = review(chain, key, WEAK_ROOT);
    assert_eq!(refusals(&below), [&weak("CN=weak-root")], "{below:?}");

    let (key, chain) = parts(SHA1);
    let sha1 = review(chain, key, RSA_ROOT);
    let expected = Finding::WeakSignature {
        subject: "CN=sha1".to_owned(),
        algorithm: "sha1WithRSAEncryption".to_owned(),
    };
    assert_eq!(refusals(&sha1), [&expected], "{sha1:?}");
    assert_eq!(accepting(&sha1), []);
}

#[test]
fn roots_that_have_nothing_to_do_with_it_are_not_judged() {
    let root = ca("Root", None, |_| ());
    let made = leaf(&root, |_| ());
    let roots = format!("{WEAK_ROOT}{}{RSA_ROOT}", root.pem);
    assert_eq!(review(&made.chain, &made.key, &roots).findings, []);
}

#[test]
fn a_key_that_must_not_sign_handshakes_is_refused() {
    let root = ca("Root", None, |_| ());
    let made = leaf(&root, |it| it.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    let found = review(&made.chain, &made.key, &root.pem);
    assert_eq!(refusals(&found), [&Finding::LeafKeyUsage]);
    let silent = leaf(&root, |it| it.key_usages.clear());
    assert_eq!(review(&silent.chain, &silent.key, &root.pem).findings, []);
}

#[test]
fn a_missing_issuer_is_told_whatever_else_is_wrong() {
    let root = ca("Root", None, |_| ());
    let between = ca("Between", Some(&root), |_| ());
    let missing = Finding::Incomplete {
        issuer: "CN=Between".to_owned(),
    };
    let client = leaf(&between, |it| {
        it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let found = review(&client.chain, &client.key, &root.pem);
    assert_eq!(refusals(&found), [&Finding::Usage, &missing], "{found:?}");

    let complete = format!("{}{}", client.chain, between.pem);
    let found = review(&complete, &client.key, &root.pem);
    assert_eq!(refusals(&found), [&Finding::Usage], "{found:?}");

    // What follows in its place is not blamed for being there.
    let made = leaf(&between, |_| ());
    let beside = format!("{}{}", made.chain, root.pem);
    let found = review(&beside, &made.key, &root.pem);
    assert_eq!(refusals(&found), [&missing], "{found:?}");

    let first = format!("{}{}", root.pem, made.chain);
    let found = review(&first, &made.key, &root.pem);
    assert!(refusals(&found).contains(&&Finding::AuthorityFirst), "{found:?}");
    assert!(refusals(&found).contains(&&missing), "{found:?}");
}

#[test]
fn a_root_of_their_own_is_none_that_clients_have() {
    let (root, other) = (ca("Root", None, |_| ()), ca("Other", None, |_| ()));
    let made = leaf(&root, |_| ());
    let whole = format!("{}{}", made.chain, root.pem);
    let unknown = Finding::RootUnknown {
        subject: "CN=Root".to_owned(),
    };
    for roots in [other.pem.as_str(), ""] {
        let found = review(&whole, &made.key, roots);
        assert_eq!(refusals(&found), [&unknown], "{found:?}");
    }
}

#[test]
fn roots_are_held_to_what_most_clients_hold_them_to() {
    let ended = ca("Ended", None, |it| it.not_after = now() - Duration::MINUTE);
    let made = leaf(&ended, |_| ());
    let found = review(&made.chain, &made.key, &ended.pem);
    assert!(
        matches!(refusals(&found)[..], [Finding::RootExpired { .. }]),
        "{found:?}"
    );
    assert_eq!(accepting(&found), [Client::Rustls, Client::RustlsRing]);

    let tight = ca("Tight", None, |it| {
        it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let between = ca("Between", Some(&tight), |_| ());
    let made = leaf(&between, |_| ());
    for more in ["", tight.pem.as_str()] {
        let chain = format!("{}{}{more}", made.chain, between.pem);
        let found = review(&chain, &made.key, &tight.pem);
        assert!(
            matches!(refusals(&found)[..], [Finding::PathLength { .. }]),
            "{found:?}"
        );
        assert_eq!(accepting(&found), [Client::Rustls, Client::RustlsRing]);
    }
    let direct = leaf(&tight, |_| ());
    assert_eq!(review(&direct.chain, &direct.key, &tight.pem).findings, []);
}

#[test]
fn each_kind_of_client_has_its_verdict() {
    let root = ca("Root", None, |_| ());
    let good = leaf(&root, |_| ());
    assert_eq!(accepting(&review(&good.chain, &good.key, &root.pem)), Client::ALL);
    let without = leaf(&root, |it| it.use_authority_key_identifier_extension = false);
    let found = review(&without.chain, &without.key, &root.pem);
    let outcomes = found.outcomes();
    let strict = outcomes.iter().find(|one| one.client == Client::Python313);
    assert_eq!(strict.unwrap().because, [Finding::NoAuthorityKeyId]);
    assert_eq!(accepting(&found).len(), Client::ALL.len() - 1);
    let long = leaf(&root, |it| it.not_after = it.not_before + Duration::days(900));
    let found = review(&long.chain, &long.key, &root.pem);
    assert!(!accepting(&found).contains(&Client::Browsers), "{found:?}");
    assert_eq!(accepting(&found).len(), Client::ALL.len() - 1);
}

#[test]
fn the_first_end_of_the_chain_counts() {
    let root = ca("Root", None, |it| it.not_after = now() + Duration::days(900));
    let soon = ca("Between", Some(&root), |it| {
        it.not_after = now() + Duration::days(4);
    });
    let made = leaf(&soon, |_| ());
    let chain = format!("{}{}", made.chain, soon.pem);
    let found = review(&chain, &made.key, &root.pem);
    let at = now() + Duration::days(4);
    let expected = Finding::IssuerExpiresSoon {
        subject: "CN=Between".to_owned(),
        at: at.replace_nanosecond(0).unwrap(),
    };
    assert_eq!(found.findings, [expected]);
    assert!(found.is_acceptable());

    let ending = ca("Ending", None, |it| it.not_after = now() + Duration::days(4));
    let made = leaf(&ending, |_| ());
    let found = review(&made.chain, &made.key, &ending.pem);
    assert!(
        matches!(&found.findings[..], [Finding::IssuerExpiresSoon { subject, .. }] if subject == "CN=Ending"),
        "{found:?}"
    );
}

#[test]
fn a_certificate_that_nobody_needs_does_not_ask_for_another_order() {
    let (root, other) = (ca("Root", None, |_| ()), ca("Other", None, |_| ()));
    let between = ca("Between", Some(&root), |_| ());
    let stranger = ca("Stranger", Some(&other), |_| ());
    let made = leaf(&between, |_| ());
    let chain = format!("{}{}{}", made.chain, between.pem, stranger.pem);
    let found = review(&chain, &made.key, &root.pem);
    assert_eq!(refusals(&found), Vec::<&Finding>::new());
    assert_eq!(accepting(&found), Client::ALL);
    let wrong = format!("{}{}{}", made.chain, stranger.pem, between.pem);
    let found = review(&wrong, &made.key, &root.pem);
    assert!(
        matches!(refusals(&found)[..], [Finding::Order { .. }]),
        "{found:?}"
    );
}
