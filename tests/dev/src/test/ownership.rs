//! Whose cluster it is: tests change and remove one that they have started, and never the one of
//! `cargo xtask up`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use silica_cluster::{Cluster, Status};
use xtask::cli::suites::Suite;

use crate::{down, workspace};

/// A file that is there while the cluster of this checkout belongs to tests.
pub(crate) fn mark() -> PathBuf {
    workspace::target().join("cluster-of-tests")
}

/// Gives the cluster to the tests, or refuses because it is the user's. One that tests have left
/// is removed when a suite needs to begin without.
pub(super) fn take(cluster: &Cluster, suites: &[Suite]) -> Result<()> {
    cluster.refuse_foreign_cluster()?;
    let is_of_tests = mark().exists();
    if !is_of_tests && matches!(cluster.status()?, Status::Running(_)) {
        bail!(
            "failed to start the tests: the local cluster of `cargo xtask up` runs, and tests would change it. \
             Remove it with `cargo xtask down`, or test what is installed there with \
             `cargo xtask test SUITE --installed`"
        );
    }
    let begins_without =
        |suite: &Suite| suite.needs_bare_cluster() || matches!(suite, Suite::Node | Suite::Traces);
    if is_of_tests && suites.iter().any(begins_without) {
        down::remove(cluster)?;
    }
    let path = mark();
    fs::write(&path, "").with_context(|| format!("failed to write {}", path.display()))
}

/// Gives the cluster to the user.
pub(crate) fn disown() -> Result<()> {
    let path = mark();
    if path.exists() {
        fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
    }
    Ok(())
}
