//! Dependencies that nothing uses, and what cargo-deny says of all others.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::crates::Crate;
use super::{Source, rules};
use crate::tool::{self, Speed};
use crate::workspace;

/// The version that is installed; its configuration is `deny.toml`.
const CARGO_DENY: &str = "0.20.2";

/// Checks both.
pub(super) fn check(crates: &[Crate], sources: &[Source]) -> Result<Vec<String>> {
    let mut findings: Vec<String> = crates
        .iter()
        .flat_map(|one| unused(one, crates, sources))
        .collect();
    findings.extend(deny()?);
    Ok(findings)
}

/// Dependencies whose name no file of the crate contains.
fn unused(one: &Crate, crates: &[Crate], sources: &[Source]) -> Vec<String> {
    let is_inside = |path: &str, folder: &str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    // A crate's folder may hold others.
    let inner: Vec<&str> = crates
        .iter()
        .map(|other| other.folder.as_str())
        .filter(|folder| is_inside(folder, &one.folder))
        .collect();
    let texts: Vec<&str> = sources
        .iter()
        .filter(|source| is_inside(&source.path, &one.folder))
        .filter(|source| !inner.iter().any(|folder| is_inside(&source.path, folder)))
        .map(|source| source.text.as_str())
        .collect();
    one.dependencies
        .iter()
        .filter(|dependency| {
            let renamed = rules::RENAMED.iter().find(|(name, _)| *name == dependency.name);
            let word = renamed.map_or(dependency.name.as_str(), |(_, library)| library);
            let word = word.replace('-', "_");
            !texts.iter().any(|text| contains_word(text, &word))
        })
        .map(|dependency| format!("crate {} does not use {}", one.name, dependency.name))
        .collect()
}

fn contains_word(text: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}

/// Licences, sources and bans. The database of advisories is on the internet: it is asked only where
/// a copy is at hand.
fn deny() -> Result<Vec<String>> {
    let program = install()?;
    let mut checks = vec!["bans", "licenses", "sources"];
    if advisories().is_some_and(|folder| folder.exists()) {
        checks.push("advisories");
    }
    let output = Command::new(program)
        .args(["--all-features", "--log-level=error", "check"])
        .args(checks)
        .current_dir(workspace::root())
        .output()
        .context("failed to run cargo-deny")?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "cargo-deny: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    )])
}

/// Where cargo-deny keeps its copy of the database.
fn advisories() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    home.map(|home| home.join("advisory-dbs"))
}

/// cargo-deny, which takes a minute to install.
pub(super) fn install() -> Result<PathBuf> {
    tool::install("cargo-deny", CARGO_DENY, Speed::Plain)
}

#[cfg(test)]
mod tests {
    use super::super::crates::Dependency;
    use super::*;

    #[test]
    fn dependency_without_use_is_found() {
        let dependency = |name: &str| Dependency {
            name: name.to_owned(),
            is_dev: false,
        };
        let one = Crate {
            name: "one".to_owned(),
            folder: "one".to_owned(),
            dependencies: vec![dependency("http-body"), dependency("http")],
        };
        let source = |path: &str, text: &str| Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let sources = [
            source("one/src/lib.rs", "use http_body::Body;"),
            source("one/two/src/lib.rs", "use http::Uri;"),
        ];
        let two = Crate {
            name: "two".to_owned(),
            folder: "one/two".to_owned(),
            dependencies: Vec::new(),
        };
        let crates = [one, two];
        assert_eq!(
            unused(&crates[0], &crates, &sources),
            ["crate one does not use http"]
        );
    }
}
