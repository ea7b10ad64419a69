//! `cargo doc` has nothing to complain about.

use anyhow::{Context, Result};

use crate::build;

/// Private items are documented, too, so links to them work.
const FLAGS: &str = "-D warnings -A rustdoc::private_intra_doc_links";

/// The warnings of rustdoc over all items of the workspace.
pub(super) fn check() -> Result<Vec<String>> {
    let output = build::cargo()
        .args([
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--quiet",
        ])
        .env("RUSTDOCFLAGS", FLAGS)
        .output()
        .context("failed to run cargo doc")?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "cargo doc: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    )])
}
