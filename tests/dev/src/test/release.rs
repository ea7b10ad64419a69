//! Suite `release`: the executables that are handed out, which no other suite uses. They are built,
//! have the sizes that they may have, and install; an example runs in a sandbox of theirs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use silica_cluster::Cluster;

use crate::build::Profile;
use crate::up::{self, Delivery};

/// Most bytes of the daemon: it is copied into every pod.
const LARGEST_DAEMON: u64 = 5_000_000;
/// Most bytes of the one file that is handed out.
const LARGEST_SILICA: u64 = 50_000_000;

/// Builds, installs over whatever is there, and runs the example.
pub(super) fn run(cluster: &Cluster) -> Result<String> {
    let silica = Profile::Release.build()?;
    let daemon = size(&Profile::Release.daemon(), LARGEST_DAEMON)?;
    let whole = size(&silica, LARGEST_SILICA)?;
    up::install(cluster, &silica, Delivery::Node, &[])?;
    up::run_example(cluster)?;
    Ok(format!(
        "silica has {whole} bytes, the daemon {daemon}; the example ran"
    ))
}

/// The size of a file, an error when it has more bytes than it may have.
fn size(path: &Path, largest: u64) -> Result<u64> {
    let size = fs::metadata(path)
        .with_context(|| format!("failed to read {}", path.display()))?
        .len();
    ensure!(
        size <= largest,
        "{} has {size} bytes, more than the {largest} that it may have",
        path.display()
    );
    Ok(size)
}
