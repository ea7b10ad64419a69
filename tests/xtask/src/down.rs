//! `cargo xtask down`: removes the local cluster with everything in it.

use std::fs;

use anyhow::{Context, Result};
use silica_cluster::Cluster;

use crate::{cluster, environment};

/// Remove the local cluster and everything in it; the caches stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cargo xtask down")]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<()> {
    remove(&Cluster::of_checkout()?)
}

/// Removes the cluster and the files that lead to it.
pub(crate) fn remove(cluster: &Cluster) -> Result<()> {
    cluster::down(cluster)?;
    for path in [
        environment::file(),
        environment::ca_file(),
        environment::ca_bundle(),
    ] {
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
        }
    }
    Ok(())
}
