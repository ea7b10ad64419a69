//! `cargo xtask images`: the images that tests run in, made without a container engine.

mod inputs;
mod make;
mod mirror;
mod rootfs;
pub(crate) mod server;
mod unpack;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use silica_cluster::{Cluster, images};
use silica_provision::progress;

pub(crate) use inputs::Name;

/// An image archive that is ready for import.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    /// Full reference.
    pub(crate) reference: String,
    /// OCI archive in the cache.
    pub(crate) path: PathBuf,
}

pub(crate) fn run() -> Result<()> {
    let cluster = Cluster::of_checkout()?;
    let archives = make_all(&cluster)?;
    if matches!(cluster.status()?, silica_cluster::Status::Running(_)) {
        import_missing(&cluster, &archives)?;
    }
    for archive in &archives {
        println!("{}  {}", archive.reference, archive.path.display());
    }
    Ok(())
}

/// Makes what the cache does not hold.
pub(crate) fn make_all(cluster: &Cluster) -> Result<Vec<Archive>> {
    Name::ALL
        .into_iter()
        .map(|name| make::make(&cluster.layout().cache, name))
        .collect()
}

/// The root file system of an image, made when the cache does not hold it. Only for reading.
pub(crate) fn root(cluster: &Cluster, name: Name) -> Result<PathBuf> {
    unpack::unpack(&make::make(&cluster.layout().cache, name)?)
}

/// Imports what the node does not have.
pub(crate) fn import_missing(cluster: &Cluster, archives: &[Archive]) -> Result<()> {
    let present = images::list(cluster.layout())?;
    for archive in archives
        .iter()
        .filter(|archive| !present.contains(&archive.reference))
    {
        let started = Instant::now();
        cluster.import(&archive.path)?;
        progress::done(&format!("imported {}", archive.reference), started);
    }
    Ok(())
}

/// The full reference of an image, whether it is made yet or not.
pub(crate) fn reference(name: Name) -> Result<String> {
    inputs::read(name).map(|inputs| inputs.reference())
}
