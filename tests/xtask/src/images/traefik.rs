//! The image of Traefik, from the executable that its Go module gives.

use std::fs::{self, File};
use std::io::BufWriter;

use anyhow::{Context, Result};
use silica_cluster::build::{self, Tool};
use silica_cluster::{Cluster, progress};
use silica_oci::{Compression, Entry, Image, ImageConfig, Layer, write_archive};

use super::{Archive, import_missing};

/// Makes the image unless it is in the cache, imports it unless the node has it, and
/// returns its reference.
pub(crate) fn provide(cluster: &Cluster) -> Result<String> {
    let executable = build::build_tool(cluster.layout(), Tool::Traefik)?;
    // The folder's name ends with the hash of everything that the executable is made of.
    let key = executable
        .parent()
        .and_then(|folder| folder.file_name()?.to_str()?.rsplit('-').next())
        .context("failed to find the key of the Traefik executable")?;
    let archive = Archive {
        reference: format!("{}/traefik:{key}", silica_api::names::IMAGE_HOST),
        path: cluster
            .layout()
            .cache
            .join("images")
            .join(format!("traefik-{key}.tar")),
    };
    if !archive.path.exists() {
        let started = std::time::Instant::now();
        let content =
            fs::read(&executable).with_context(|| format!("failed to read {}", executable.display()))?;
        write(&archive, content)?;
        progress::done(&format!("made {}", archive.reference), started);
    }
    import_missing(cluster, std::slice::from_ref(&archive))?;
    Ok(archive.reference)
}

fn write(archive: &Archive, executable: Vec<u8>) -> Result<()> {
    let failed = || format!("failed to write {}", archive.path.display());
    if let Some(folder) = archive.path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    let entries = vec![
        // Go's programs look here for time zones and temporary files; both may be empty.
        Entry::directory("/tmp", 0o1777),
        Entry::file("/traefik", 0o755, executable),
    ];
    let image = Image {
        reference: archive.reference.clone(),
        layers: vec![Layer::from_entries(entries, Compression::Zstd)?],
        config: ImageConfig {
            entrypoint: vec!["/traefik".to_owned()],
            ..ImageConfig::default()
        },
    };
    let unfinished = archive.path.with_extension("tmp");
    let file = File::create(&unfinished).with_context(failed)?;
    write_archive(&[image], BufWriter::with_capacity(1 << 20, file))?;
    fs::rename(&unfinished, &archive.path).with_context(failed)
}
