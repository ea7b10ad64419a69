//! `cargo xtask generate`: the committed YAML.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Refreshes manifests/yaml; with `check` only looks.
pub(crate) fn run(check: bool) -> Result<()> {
    let files = refresh(check)?;
    println!("manifests/yaml is fresh ({files} files)");
    Ok(())
}

/// Brings the files up to date, or with `check` only looks. Returns how many there are.
pub(crate) fn refresh(check: bool) -> Result<usize> {
    let directory = workspace::root().join("manifests/yaml");
    let generated = silica_manifests::generated().context("failed to generate the manifests")?;
    let mut stale = Vec::new();
    for (name, content) in &generated {
        let path = directory.join(name);
        if fs::read_to_string(&path).is_ok_and(|committed| committed == *content) {
            continue;
        }
        stale.push(name.clone());
        if !check {
            fs::create_dir_all(&directory)
                .and_then(|()| fs::write(&path, content))
                .with_context(|| format!("failed to write {}", path.display()))?;
            println!("wrote {}", path.display());
        }
    }
    let known: BTreeSet<&str> = generated.iter().map(|(name, _)| name.as_str()).collect();
    let entries =
        fs::read_dir(&directory).with_context(|| format!("failed to list {}", directory.display()))?;
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_yaml = entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "yaml");
        if known.contains(name.as_str()) || !is_yaml {
            continue;
        }
        if !check {
            fs::remove_file(entry.path()).with_context(|| format!("failed to remove {name}"))?;
            println!("removed {}", entry.path().display());
        }
        stale.push(name);
    }
    if check && !stale.is_empty() {
        bail!(
            "{} in manifests/yaml are stale: run `cargo xtask generate`",
            stale.join(", ")
        );
    }
    Ok(generated.len())
}
