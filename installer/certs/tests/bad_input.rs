//! Files that cannot be written and CAs that cannot sign: a clear error, and
//! what was there before stays.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{DOMAIN, authority, authority_at, leaf, now, server_names};
use silica_certs::authority::{Authority, Error};
use silica_certs::files;
use silica_certs::import::{self, Finding};
use silica_certs::leaf::{self as leaf_errors, LeafRequest};
use silica_certs::pem;
use time::Duration;

/// Names and contents of a folder.
fn content(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn truncated_pem_is_refused_at_every_line() {
    let made = authority();
    let (certificate, key) = (made.certificate_pem(), made.key_pem().expose());
    for (line, _) in certificate.match_indices('\n').rev().skip(1) {
        assert!(
            matches!(
                Authority::from_pem(&certificate[..line], key),
                Err(Error::CertificatePem(
                    pem::Error::NoEnd { .. }
                        | pem::Error::Begin { .. }
                        | pem::Error::Base64 { .. }
                        | pem::Error::NoCertificate(_)
                ))
            ),
            "{line}"
        );
    }
    for (line, _) in key.match_indices('\n').rev().skip(1) {
        assert!(
            matches!(
                Authority::from_pem(certificate, &key[..line]),
                Err(Error::KeyPem(pem::Error::NoEnd { .. }))
            ),
            "{line}"
        );
    }
}

#[test]
fn a_ca_from_a_clock_that_is_ahead_signs_nothing_and_says_when_it_will() {
    let early = authority_at(now() + Duration::days(2));
    let error = early.issue(&LeafRequest::new(server_names()), now()).unwrap_err();
    assert!(
        matches!(error, leaf_errors::Error::AuthorityNotValid { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("the CA is valid from"), "{error}");
}

#[test]
fn dates_and_a_missing_wildcard_are_findings() {
    let authority = authority();
    let good = leaf(&authority);
    let apex = authority
        .issue(&LeafRequest::new(vec![DOMAIN.to_owned()]), now())
        .unwrap();
    let review = |leaf: &leaf_errors::Leaf, at| {
        let root = Some(authority.certificate_pem());
        import::review(leaf.chain_pem(), leaf.key_pem().expose(), &[DOMAIN], root, at).findings
    };
    assert_eq!(
        review(&apex, now()),
        [Finding::NameMissing(format!("*.{DOMAIN}"))]
    );
    assert_eq!(
        review(&good, now() - Duration::days(1)),
        [Finding::NotYetValid(good.not_before())]
    );
    assert_eq!(
        review(&good, good.not_after() + Duration::HOUR),
        [Finding::Expired(good.not_after())]
    );
}

#[test]
fn a_ca_without_key_usage_is_a_warning() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.not_before = now() - Duration::HOUR;
    parameters.not_after = now() + Duration::days(900);
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = parameters.self_signed(&key).unwrap().pem();
    let silent = Authority::from_pem(&root, &key.serialize_pem()).unwrap();
    let leaf = leaf(&silent);
    let review = import::review(
        leaf.chain_pem(),
        leaf.key_pem().expose(),
        &[DOMAIN],
        Some(&root),
        now(),
    );
    assert!(review.is_acceptable(), "{:?}", review.findings);
    assert!(
        review
            .findings
            .iter()
            .any(|finding| matches!(finding, Finding::NoKeyUsage { .. })),
        "{:?}",
        review.findings
    );
}

/// Writes into a full file system of its own: no root needed, gone with the namespace.
#[test]
fn a_full_disk_keeps_the_former_files() {
    const INSIDE: &str = "SILICA_TEST_FULL_DISK";
    if let Some(folder) = std::env::var_os(INSIDE) {
        let folder = Path::new(&folder);
        let authority = authority();
        files::write(folder, &authority, &leaf(&authority)).unwrap();
        let before = content(folder);
        // Whatever is left of the space goes.
        let filled = fs::write(folder.join("filler"), vec![0_u8; 1 << 20]);
        assert!(filled.is_err(), "the file system is not full");
        let error = files::write(folder, &authority, &leaf(&authority)).unwrap_err();
        assert!(matches!(error, files::Error::Write { .. }), "{error}");
        fs::remove_file(folder.join("filler")).unwrap();
        assert_eq!(content(folder), before);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=64k none \"$SILICA_TEST_FULL_DISK\" || exit 77; exec \"$0\" --exact a_full_disk_keeps_the_former_files")
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, folder.path())
        .output();
    let Some(output) = output.ok().filter(|output| output.status.code() != Some(77)) else {
        assert!(std::env::var_os("CI").is_none(), "no mount namespace can be made");
        println!("skipped: no mount namespace can be made here");
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let authority = authority();
    // Nobody, not even root, makes folders here.
    let error = files::write(Path::new("/proc/silica"), &authority, &leaf(&authority)).unwrap_err();
    assert!(error.to_string().contains("/proc/silica"), "{error}");
}
