//! Brings image archives into the node's containerd.

use std::path::Path;

use anyhow::{Context, Result};

use crate::layout::Layout;
use silica_provision::command::{command, run};

/// References of all images on the node.
pub fn list(layout: &Layout) -> Result<Vec<String>> {
    let names = run(command(["ctr", "--address"])
        .arg(layout.containerd_socket())
        .args(["--namespace", "k8s.io", "images", "list", "--quiet"]))
    .context("failed to list the node's images")?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Removes images from the node, and their content when nothing else needs it.
pub fn remove(layout: &Layout, references: &[String]) -> Result<()> {
    if references.is_empty() {
        return Ok(());
    }
    run(command(["ctr", "--address"])
        .arg(layout.containerd_socket())
        .args(["--namespace", "k8s.io", "images", "remove", "--sync"])
        .args(references))
    .context("failed to remove images from the node")
    .map(drop)
}

/// Imports an OCI archive. Pods can use its images at once.
pub fn import(layout: &Layout, archive: &Path) -> Result<()> {
    run(command(["ctr", "--address"])
        .arg(layout.containerd_socket())
        .args(["--namespace", "k8s.io", "images", "import"])
        .arg(archive))
    .with_context(|| format!("failed to import {}", archive.display()))
    .map(drop)
}
