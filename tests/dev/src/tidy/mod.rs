//! `cargo xtask tidy`: rules about the structure of the repository that the compiler does not know.
//! The table of what is allowed is in [`rules`].

mod crates;
mod dependencies;
mod documentation;
mod folders;
mod layout;
mod literals;
mod paths;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Checks every rule and prints what breaks one.
pub(crate) fn run() -> Result<()> {
    println!("{}", check()?);
    Ok(())
}

/// Installs what [`check`] needs, which takes a minute once.
pub(crate) fn prepare() -> Result<()> {
    dependencies::install().map(drop)
}

/// Checks every rule; returns what was looked at. The error names everything that breaks a rule.
pub(crate) fn check() -> Result<String> {
    let root = workspace::root();
    let metadata = crates::metadata(&root)?;
    let sources = sources(&root)?;
    let mut findings = crates::check(&metadata);
    for (folder, allowed) in rules::FOLDERS {
        findings.extend(folders::check(folder, allowed, &sources)?);
    }
    findings.extend(layout::check(&sources));
    findings.extend(literals::check(&sources));
    findings.extend(dependencies::check(&metadata, &sources)?);
    findings.extend(documentation::check()?);
    if findings.is_empty() {
        return Ok(format!(
            "{} files, {} crates in order",
            sources.len(),
            metadata.len()
        ));
    }
    for finding in &findings {
        println!("  {finding}");
    }
    bail!(
        "{} breaches of the rules in tests/dev/src/tidy/rules.rs",
        findings.len()
    );
}

/// A Rust file of the repository.
struct Source {
    /// Relative to the workspace's root, with `/`.
    path: String,
    text: String,
}

/// All Rust files that Git knows or could add.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let listed = crate::command::read(
        std::process::Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
            .current_dir(root),
    )?;
    let mut sources = Vec::new();
    for path in listed.lines() {
        let file: PathBuf = root.join(path);
        // Deleted, and the deletion not yet committed.
        if !file.exists() {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {path}"))?;
        sources.push(Source {
            path: path.to_owned(),
            text,
        });
    }
    Ok(sources)
}
