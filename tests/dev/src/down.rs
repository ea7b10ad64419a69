//! `cargo xtask down`: removes the local cluster with everything in it.

use std::fs;

use anyhow::{Context, Result};
use silica_cluster::Cluster;

use crate::{cluster, environment, test};

pub(crate) fn run() -> Result<()> {
    remove(&Cluster::of_checkout()?)
}

/// Removes the cluster and the files that lead to it.
pub(crate) fn remove(cluster: &Cluster) -> Result<()> {
    cluster::down(cluster)?;
    for path in [
        environment::file(),
        environment::ca_file(),
        environment::ca_bundle(),
        test::mark(),
    ] {
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
        }
    }
    Ok(())
}
