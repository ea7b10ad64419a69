//! Loading a CA: what is accepted, and how it says no.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod common;

use std::process::Command;

use common::{authority, leaf, now, server_names};
use silica_certs::authority::{Authority, Error};
use silica_certs::leaf::LeafRequest;
use silica_certs::{pem, verify};

/// Runs openssl in the folder; `None` when it is not installed.
fn openssl(folder: &std::path::Path, arguments: &[&str]) -> Option<()> {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output()
        .ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(())
}

#[test]
fn authority_survives_a_round_trip() {
    let made = authority();
    let loaded = Authority::from_pem(made.certificate_pem(), made.key_pem().expose()).unwrap();
    assert_eq!(loaded.inspected(), made.inspected());
    let leaf = leaf(&loaded);
    verify::chain(leaf.chain_pem(), made.certificate_pem(), common::DOMAIN, now()).unwrap();
}

#[test]
fn wrong_material_is_refused_with_its_reason() {
    let (authority, other) = (authority(), common::authority());
    let leaf = leaf(&authority);
    let (certificate, key) = (authority.certificate_pem(), authority.key_pem().expose());
    let load = |certificate: &str, key: &str| Authority::from_pem(certificate, key).unwrap_err();

    assert!(matches!(
        load(certificate, other.key_pem().expose()),
        Error::KeyMismatch { .. }
    ));
    assert!(matches!(
        load(leaf.chain_pem(), leaf.key_pem().expose()),
        Error::NotAuthority { .. }
    ));
    let mixed = format!("{certificate}{key}");
    assert!(matches!(
        load(&mixed, key),
        Error::CertificatePem(pem::Error::Mixed { .. })
    ));
    assert!(matches!(
        load(certificate, &mixed),
        Error::KeyPem(pem::Error::Mixed { .. })
    ));
    let two = format!("{certificate}{}", other.certificate_pem());
    assert!(matches!(load(&two, key), Error::SeveralCertificates { count: 2 }));
    assert!(matches!(
        load("", key),
        Error::CertificatePem(pem::Error::NoCertificate(_))
    ));
    assert!(matches!(
        load(certificate, ""),
        Error::KeyPem(pem::Error::NoPrivateKey(_))
    ));
}

#[test]
fn authority_made_by_openssl_can_sign() {
    let folder = tempfile::tempdir().unwrap();
    let made = openssl(
        folder.path(),
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "ca.pem",
            "-days",
            "36500",
            "-subj",
            "/C=DE/O=Example/OU=Platform/CN=Example Root",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ],
    );
    if made.is_none() {
        eprintln!("skipped: openssl is not installed");
        return;
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let authority = Authority::from_pem(&read("ca.pem"), &read("key.pem")).unwrap();
    // Its life begins with the run of this test.
    let now = authority.inspected().not_before + time::Duration::HOUR;
    let leaf = authority.issue(&LeafRequest::new(server_names()), now).unwrap();
    verify::chain(leaf.chain_pem(), &read("ca.pem"), common::DOMAIN, now).unwrap();

    openssl(
        folder.path(),
        &[
            "pkey",
            "-in",
            "key.pem",
            "-aes128",
            "-passout",
            "pass:x",
            "-out",
            "locked.pem",
        ],
    );
    openssl(
        folder.path(),
        &["rsa", "-traditional", "-in", "key.pem", "-out", "old.pem"],
    );
    let refused = |key: &str| Authority::from_pem(&read("ca.pem"), &read(key)).unwrap_err();
    assert!(matches!(
        refused("locked.pem"),
        Error::KeyPem(pem::Error::Encrypted)
    ));
    // As cert-manager keeps it.
    let old = Authority::from_pem(&read("ca.pem"), &read("old.pem")).unwrap();
    let leaf = old.issue(&LeafRequest::new(server_names()), now).unwrap();
    verify::chain(leaf.chain_pem(), &read("ca.pem"), common::DOMAIN, now).unwrap();
    verify::key_matches(&read("ca.pem"), &read("old.pem")).unwrap();
}

/// As cert-manager keeps keys unless it is told otherwise.
#[test]
fn authority_with_a_key_in_sec1_form_signs() {
    for (curve, other) in [("P-256", "P-384"), ("P-384", "P-256")] {
        let folder = tempfile::tempdir().unwrap();
        let made = |curve: &str, name: &str| {
            let request = format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes -keyout {name}.key -out {name}.pem \
                 -days 3650 -subj /CN={name} -addext keyUsage=critical,keyCertSign,cRLSign"
            );
            let convert = format!("ec -in {name}.key -out {name}.sec1");
            openssl(folder.path(), &request.split_whitespace().collect::<Vec<_>>())?;
            openssl(folder.path(), &convert.split_whitespace().collect::<Vec<_>>())
        };
        if made(curve, "ca").and(made(other, "other")).is_none() {
            eprintln!("skipped: openssl is not installed");
            return;
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("ca.sec1").starts_with("-----BEGIN EC PRIVATE KEY-----"));
        let authority = Authority::from_pem(&read("ca.pem"), &read("ca.sec1")).unwrap();
        let now = authority.inspected().not_before + time::Duration::HOUR;
        let leaf = authority.issue(&LeafRequest::new(server_names()), now).unwrap();
        verify::chain(leaf.chain_pem(), &read("ca.pem"), common::DOMAIN, now).unwrap();
        // A CA is kept in one form, whatever it came in.
        let again = Authority::from_pem(authority.certificate_pem(), authority.key_pem().expose());
        assert_eq!(again.unwrap().key_pem(), authority.key_pem());
        assert!(
            authority
                .key_pem()
                .expose()
                .starts_with("-----BEGIN PRIVATE KEY-----")
        );
        assert!(Authority::from_pem(&read("ca.pem"), &read("other.sec1")).is_err());
    }
}

/// Its certificates would name another issuer: better to say so than to fail with each of them.
#[test]
fn authority_whose_subject_repeats_an_attribute_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let made = openssl(
        folder.path(),
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "ca.pem",
            "-subj",
            "/DC=com/DC=example/CN=Example Root",
        ],
    );
    if made.is_none() {
        eprintln!("skipped: openssl is not installed");
        return;
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let refused = Authority::from_pem(&read("ca.pem"), &read("key.pem")).unwrap_err();
    assert!(matches!(refused, Error::Subject { .. }), "{refused}");
}

#[test]
fn a_ca_that_is_limited_to_a_name_outside_of_ascii_is_refused() {
    let made = authority();
    let mut der = pem::certificates(made.certificate_pem())
        .unwrap()
        .remove(0)
        .to_vec();
    let domain = common::DOMAIN.as_bytes();
    let at = der.windows(domain.len()).position(|part| part == domain).unwrap();
    // Two letters give way to one of two bytes. A root's own signature is nobody's proof.
    der[at + 2..at + 4].copy_from_slice("ü".as_bytes());
    let certificate = pem::encode_certificate(&der);
    let refused = Authority::from_pem(&certificate, made.key_pem().expose()).unwrap_err();
    assert!(matches!(refused, Error::Limit { .. }), "{refused}");
}
