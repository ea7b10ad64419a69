//! Which crate of the workspace may depend on which.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use silica_provision::command::cargo;

use super::rules;
use crate::command;

/// A crate of the workspace.
pub(super) struct Crate {
    pub(super) name: String,
    /// Its folder, relative to the workspace's root, with `/`.
    pub(super) folder: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// What a crate declares.
pub(super) struct Dependency {
    pub(super) name: String,
    /// Only for its tests.
    pub(super) is_dev: bool,
}

/// What Cargo knows of the workspace.
pub(super) fn metadata(root: &Path) -> Result<Vec<Crate>> {
    let text = command::read(
        cargo()
            .args(["metadata", "--no-deps", "--format-version=1", "--locked"])
            .current_dir(root),
    )?;
    let metadata: Value = serde_json::from_str(&text).context("failed to read Cargo's metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("Cargo names no packages")?;
    packages.iter().map(|package| read(package, root)).collect()
}

fn read(package: &Value, root: &Path) -> Result<Crate> {
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .context("failed to read Cargo's metadata")
    };
    let manifest = text(&package["manifest_path"])?;
    let folder = Path::new(&manifest)
        .parent()
        .and_then(|folder| folder.strip_prefix(root).ok());
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    Ok(Crate {
        name: text(&package["name"])?,
        folder: folder
            .context("a crate lies outside of the workspace")?
            .display()
            .to_string(),
        dependencies: dependencies
            .map(|dependency| {
                Ok(Dependency {
                    name: text(&dependency["name"])?,
                    is_dev: dependency["kind"] == "dev",
                })
            })
            .collect::<Result<_>>()?,
    })
}

/// Edges that the table does not have, and lines of the table that nothing uses.
pub(super) fn check(crates: &[Crate]) -> Vec<String> {
    let mut findings = Vec::new();
    for one in crates {
        let allowed = rules::CRATES.iter().find(|(name, _)| *name == one.name);
        let Some((_, allowed)) = allowed else {
            findings.push(format!("crate {}: not in the table", one.name));
            continue;
        };
        let uses = |name: &str| {
            let mut normal = one.dependencies.iter().filter(|dependency| !dependency.is_dev);
            normal.any(|dependency| dependency.name == name)
        };
        let inner = crates.iter().map(|other| other.name.as_str());
        for name in inner.filter(|name| uses(name) && !allowed.contains(name)) {
            findings.push(format!("crate {} must not depend on {name}", one.name));
        }
        for name in allowed.iter().filter(|name| !uses(name)) {
            findings.push(format!(
                "crate {} no longer depends on {name}: remove it from the table",
                one.name
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_crate(name: &str, dependencies: &[&str]) -> Crate {
        Crate {
            name: name.to_owned(),
            folder: name.to_owned(),
            dependencies: dependencies
                .iter()
                .map(|name| Dependency {
                    name: (*name).to_owned(),
                    is_dev: false,
                })
                .collect(),
        }
    }

    #[test]
    fn edge_that_the_table_lacks_is_found() {
        let crates = [
            a_crate("silica-certs", &["silica-dns"]),
            a_crate("silica-dns", &[]),
        ];
        assert_eq!(
            check(&crates),
            ["crate silica-certs must not depend on silica-dns"]
        );
    }

    #[test]
    fn crate_that_nobody_has_placed_is_found() {
        assert_eq!(check(&[a_crate("other", &[])]), ["crate other: not in the table"]);
    }
}
