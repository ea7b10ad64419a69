//! What verifiers say: webpki, a rustls handshake, OpenSSL in strict mode.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod common;

use std::fs;
use std::process::Command;
use std::sync::Arc;

use common::{DOMAIN, authority, authority_at, leaf, now, server_names, short_authority};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use silica_certs::authority::{self, Authority, AuthorityRequest};
use silica_certs::leaf::{Leaf, LeafRequest};
use silica_certs::verify::{self, Error};
use time::{Duration, OffsetDateTime};

fn verdict(leaf: &Leaf, roots: &str, name: &str, at: OffsetDateTime) -> Result<(), Error> {
    verify::chain(leaf.chain_pem(), roots, name, at)
}

#[test]
fn issued_names_are_accepted() {
    let authority = authority();
    let leaf = leaf(&authority);
    let sandbox = format!("49999-default--a1b2c.{DOMAIN}");
    for name in server_names()
        .iter()
        .map(String::as_str)
        .chain([sandbox.as_str()])
    {
        verdict(&leaf, authority.certificate_pem(), name, now()).unwrap();
    }
}

#[test]
fn names_outside_are_refused() {
    let authority = authority();
    let leaf = leaf(&authority);
    for name in [
        format!("a.b.{DOMAIN}"),
        "example.com".into(),
        "sandbox-manager".into(),
    ] {
        let error = verdict(&leaf, authority.certificate_pem(), &name, now()).unwrap_err();
        assert!(
            matches!(&error, Error::NameMismatch { names, .. } if names.len() == 4),
            "{name}: {error}"
        );
    }
}

#[test]
fn dates_of_leaf_and_root_both_count() {
    let authority = authority();
    let leaf = leaf(&authority);
    let at = |moment| verdict(&leaf, authority.certificate_pem(), DOMAIN, moment);
    at(leaf.not_after()).unwrap();
    assert!(matches!(
        at(leaf.not_after() + Duration::SECOND),
        Err(Error::Expired { .. })
    ));
    assert!(matches!(
        at(leaf.not_before() - Duration::SECOND),
        Err(Error::NotYetValid { .. })
    ));

    // A root whose certificate has ended, over a leaf that has not: webpki alone
    // would accept it, OpenSSL, Go and Node do not.
    let dying = short_authority(Duration::days(1));
    let renewed = short_authority(Duration::days(365));
    let leaf = renewed
        .issue(&LeafRequest::new(vec![DOMAIN.into()]), now())
        .unwrap();
    let after = now() + Duration::days(400);
    assert!(matches!(
        verdict(&leaf, renewed.certificate_pem(), DOMAIN, after),
        Err(Error::Expired { .. })
    ));
    assert!(matches!(
        verdict(&leaf, dying.certificate_pem(), DOMAIN, now()),
        Err(Error::UnknownIssuer)
    ));
}

#[test]
fn other_authority_is_an_unknown_issuer() {
    let (authority, other) = (authority(), common::authority());
    let leaf = leaf(&authority);
    assert!(matches!(
        verdict(&leaf, other.certificate_pem(), DOMAIN, now()),
        Err(Error::UnknownIssuer)
    ));
    let bundle = format!("{}{}", other.certificate_pem(), authority.certificate_pem());
    verdict(&leaf, &bundle, DOMAIN, now()).unwrap();
}

#[test]
fn root_alone_is_no_server_certificate() {
    let authority = authority();
    let root = authority.certificate_pem();
    assert!(matches!(
        verify::chain(root, root, DOMAIN, now()),
        Err(Error::AuthorityAsServer)
    ));
}

#[test]
fn key_of_another_certificate_is_noticed() {
    let authority = authority();
    let (first, second) = (leaf(&authority), leaf(&authority));
    verify::key_matches(first.chain_pem(), first.key_pem().expose()).unwrap();
    assert!(matches!(
        verify::key_matches(first.chain_pem(), second.key_pem().expose()),
        Err(Error::KeyMismatch)
    ));
}

#[test]
fn cross_certificate_serves_clients_of_both_generations() {
    let old = authority();
    let later = now() + Duration::days(300);
    let new = authority_at(later);
    let cross = old.cross_certify(&new, later).unwrap();
    let leaf = new.issue(&LeafRequest::new(server_names()), later).unwrap();
    assert!(matches!(
        verdict(&leaf, old.certificate_pem(), DOMAIN, later),
        Err(Error::UnknownIssuer)
    ));
    let leaf = leaf.with_cross(&cross);
    for root in [&old, &new] {
        verdict(&leaf, root.certificate_pem(), DOMAIN, later).unwrap();
    }
    let cross = &silica_certs::inspect::parse_chain(&cross).unwrap()[0];
    assert!(cross.is_ca && cross.path_length == Some(0));
    assert_eq!(cross.subject, new.inspected().subject);
    assert_eq!(cross.issuer, old.inspected().subject);
    assert_eq!(cross.subject_key_id, new.inspected().subject_key_id);
    assert_eq!(cross.authority_key_id, old.inspected().subject_key_id);
    assert_eq!(cross.permitted_names, new.inspected().permitted_names);
    assert_eq!(cross.not_after, old.inspected().not_after);
}

#[test]
fn expired_authority_signs_no_successor() {
    let old = short_authority(Duration::days(1));
    let later = now() + Duration::days(2);
    let error = old.cross_certify(&authority_at(later), later).unwrap_err();
    assert!(matches!(error, authority::Error::NoOverlap { .. }), "{error}");
}

#[test]
fn constraint_of_the_former_ca_also_binds_its_successor() {
    let old = authority();
    let request = AuthorityRequest::new(vec!["other.example".into()], Vec::new());
    let new = Authority::create(&request, now()).unwrap();
    let cross = old.cross_certify(&new, now()).unwrap();
    let leaf = new
        .issue(&LeafRequest::new(vec!["other.example".into()]), now())
        .unwrap()
        .with_cross(&cross);
    verdict(&leaf, new.certificate_pem(), "other.example", now()).unwrap();
    assert!(matches!(
        verdict(&leaf, old.certificate_pem(), "other.example", now()),
        Err(Error::NameConstraint)
    ));
}

#[derive(Debug)]
struct FixedTime;

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(now().unix_timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            seconds,
        )))
    }
}

/// A whole TLS handshake in memory.
fn handshake(leaf: &Leaf, root: &str, name: &str) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(leaf.chain_pem().as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem().expose().as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap())?;
    let client = ClientConfig::builder_with_details(provider, Arc::new(FixedTime))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(())
}

#[test]
fn rustls_shakes_hands_with_the_right_ca_only() {
    let (authority, other) = (authority(), common::authority());
    let leaf = leaf(&authority);
    let host = format!("49983-default--a1b2c.{DOMAIN}");
    handshake(&leaf, authority.certificate_pem(), &host).unwrap();
    let error = handshake(&leaf, other.certificate_pem(), &host).unwrap_err();
    assert_eq!(error.to_string(), "invalid peer certificate: UnknownIssuer");
}

/// Runs `openssl verify -x509_strict`; `None` when openssl is not installed.
fn openssl_verify(root: &str, chain: &str, name: &str) -> Option<Result<(), String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (root, chain) = (file("root.pem", root), file("chain.pem", chain));
    let output = Command::new("openssl")
        .args([
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-no-CApath",
            "-no-CAstore",
        ])
        .args([
            "-attime",
            &now().unix_timestamp().to_string(),
            "-verify_hostname",
            name,
        ])
        .arg("-CAfile")
        .arg(root)
        .arg("-untrusted")
        .arg(&chain)
        .arg(&chain)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: openssl is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() {
        Ok(())
    } else {
        Err(said)
    })
}

#[test]
fn openssl_accepts_the_chain_in_strict_mode() {
    let authority = authority();
    let leaf = leaf(&authority);
    for name in [DOMAIN.to_owned(), format!("49999-default--a1b2c.{DOMAIN}")] {
        let Some(verdict) = openssl_verify(authority.certificate_pem(), leaf.chain_pem(), &name) else {
            return;
        };
        verdict.unwrap();
    }
    let Some(verdict) = openssl_verify(
        authority.certificate_pem(),
        leaf.chain_pem(),
        "a.b.sandbox.example.com",
    ) else {
        return;
    };
    assert!(verdict.unwrap_err().contains("ostname mismatch"));
}

#[test]
fn openssl_accepts_the_cross_certificate_in_strict_mode() {
    let (old, new) = (authority(), common::authority());
    let leaf = leaf(&new).with_cross(&old.cross_certify(&new, now()).unwrap());
    for root in [&old, &new] {
        let Some(verdict) = openssl_verify(root.certificate_pem(), leaf.chain_pem(), DOMAIN) else {
            return;
        };
        verdict.unwrap();
    }
}
