//! What independent linters say to everything that is issued here: zlint with
//! all of its rules, and pkilint for single certificates and for pairs.
//!
//! `SILICA_ZLINT` is the executable, `SILICA_PKILINT` a Python with pkilint;
//! `cargo xtask test unit` sets both.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

#[path = "../common/mod.rs"]
mod common;
mod ignored;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use common::{authority, now, server_names};
use ignored::IGNORED;
use serde_json::Value;
use silica_certs::key::{KeyType, ServerKey};
use silica_certs::leaf::LeafRequest;

/// The variable, or word that the linter is missing; on CI that is a failure.
fn tool(variable: &str) -> Option<OsString> {
    let found = std::env::var_os(variable);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} is not set");
        println!("skipped: {variable} is not set (cargo xtask test unit sets it)");
    }
    found
}

/// A certificate on disk, with its issuer's.
struct Issued {
    name: String,
    file: PathBuf,
    issuer: PathBuf,
}

/// Both CAs of a rotation, the cross certificate, a leaf of every key type, and
/// the longest and the shortest life.
fn issue_all(folder: &Path) -> Vec<Issued> {
    let write = |name: &str, text: &str| {
        let path = folder.join(format!("{name}.pem"));
        fs::write(&path, text).unwrap();
        path
    };
    let (old, new) = (authority(), authority());
    let root = write("ca", old.certificate_pem());
    let next = write("next-ca", new.certificate_pem());
    let cross = write("cross", &old.cross_certify(&new, now()).unwrap());
    let mut issued = vec![
        ("ca".to_owned(), root.clone(), root.clone()),
        ("next-ca".to_owned(), next.clone(), next.clone()),
        ("cross".to_owned(), cross.clone(), root.clone()),
    ];
    let mut leaf = |name: String, kind, days| {
        let request = LeafRequest {
            validity: time::Duration::days(days),
            ..LeafRequest::new(server_names())
        };
        let leaf = old
            .issue_for(&ServerKey::generate(kind).unwrap(), &request, now())
            .unwrap();
        issued.push((name.clone(), write(&name, leaf.chain_pem()), root.clone()));
    };
    for kind in KeyType::ALL {
        leaf(format!("leaf-{kind}"), kind, 90);
    }
    leaf("leaf-1-day".to_owned(), KeyType::P256, 1);
    issued
        .into_iter()
        .map(|(name, file, issuer)| Issued { name, file, issuer })
        .collect()
}

fn is_ignored(name: &str) -> bool {
    IGNORED.iter().any(|(ignored, _)| *ignored == name)
}

fn stdout(output: &Output) -> &str {
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Names of the rules that zlint finds broken.
fn zlint(program: &OsString, file: &Path) -> Vec<String> {
    let output = Command::new(program).arg(file).output().unwrap();
    let results: Value = serde_json::from_str(stdout(&output)).unwrap();
    let results = results.as_object().unwrap();
    assert!(results.len() > 300, "only {} rules were checked", results.len());
    results
        .iter()
        .filter(|(_, result)| ["warn", "error", "fatal"].contains(&result["result"].as_str().unwrap()))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Codes of what pkilint finds, from warnings on.
fn pkilint(python: &OsString, module: &str, files: &[&Path]) -> Vec<String> {
    let output = Command::new(python)
        .args([
            "-m",
            &format!("pkilint.bin.{module}"),
            "lint",
            "-s",
            "WARNING",
            "-f",
            "CSV",
        ])
        .args(files)
        .output()
        .unwrap();
    let mut lines = stdout(&output).lines();
    assert_eq!(lines.next(), Some("node_path,validator,severity,code,message"));
    lines
        .filter(|line| !line.is_empty())
        .map(|line| line.split(',').nth(3).unwrap().to_owned())
        .collect()
}

/// Runs the linter on everything, two at a time.
fn findings(issued: &[Issued], lint: impl Fn(&Issued) -> Vec<String> + Sync) -> Vec<(String, String)> {
    let of = |half: Vec<&Issued>| -> Vec<(String, String)> {
        half.into_iter()
            .flat_map(|one| lint(one).into_iter().map(|found| (one.name.clone(), found)))
            .collect()
    };
    let (even, odd): (Vec<_>, Vec<_>) = issued.iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let plain = |half: Vec<(usize, _)>| half.into_iter().map(|(_, one)| one).collect();
    thread::scope(|scope| {
        let second = scope.spawn(|| of(plain(odd)));
        let mut found = of(plain(even));
        found.extend(second.join().unwrap());
        found
    })
}

fn judge(linter: &str, found: Vec<(String, String)>, certificates: usize) -> BTreeSet<String> {
    let (ignored, faults): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, name)| is_ignored(name));
    println!(
        "{linter}: {certificates} certificates, {} findings, {} ignored with reason",
        faults.len(),
        ignored.len()
    );
    assert!(faults.is_empty(), "{linter}: {faults:?}");
    ignored.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn linters_find_nothing_without_a_reason() {
    let (Some(program), Some(python)) = (tool("SILICA_ZLINT"), tool("SILICA_PKILINT")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let issued = issue_all(folder.path());
    let found = findings(&issued, |one| zlint(&program, &one.file));
    let mut used = judge("zlint", found, issued.len());
    let found = findings(&issued, |one| {
        let mut found = pkilint(&python, "lint_pkix_cert", &[&one.file]);
        let pair = [one.issuer.as_path(), one.file.as_path()];
        found.extend(pkilint(&python, "lint_pkix_signer_signee_cert_chain", &pair));
        found
    });
    used.extend(judge("pkilint", found, issued.len()));
    let unused: Vec<_> = IGNORED.iter().filter(|(name, _)| !used.contains(*name)).collect();
    assert!(
        unused.is_empty(),
        "no longer found, take it off the list: {unused:?}"
    );
}

/// A linter that finds nothing anywhere would prove nothing.
#[test]
fn linters_find_what_is_wrong() {
    let (Some(program), Some(python)) = (tool("SILICA_ZLINT"), tool("SILICA_PKILINT")) else {
        return;
    };
    // As the library's defaults have it, no key identifier; and a life that no public CA may give.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(["a.example.com".to_owned()]).unwrap();
    parameters.not_before = now();
    parameters.not_after = now() + time::Duration::days(1000);
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = rcgen::Issuer::new(
        rcgen::CertificateParams::default(),
        rcgen::KeyPair::generate().unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.pem");
    fs::write(&file, parameters.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    let bad = |found: Vec<String>| found.iter().any(|name| !is_ignored(name));
    assert!(bad(zlint(&program, &file)));
    assert!(bad(pkilint(&python, "lint_pkix_cert", &[&file])));
}
