//! Images of real servers that run inside of the cluster: one static executable from a Go module.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use silica_cluster::Cluster;
use silica_oci::{Compression, Entry, Image, ImageConfig, Layer, write_archive};
use silica_provision::progress;

use super::{Archive, import_missing};

/// Makes the image of the built executable unless it is in the cache, imports it unless the node
/// has it, and returns its reference.
pub(crate) fn provide(cluster: &Cluster, executable: &Path) -> Result<String> {
    // The folder is called after the executable and the hash of everything that it is made of.
    let (name, key) = executable
        .parent()
        .and_then(|folder| folder.file_name()?.to_str()?.rsplit_once('-'))
        .with_context(|| format!("failed to find the key of {}", executable.display()))?;
    let archive = Archive {
        reference: format!("{}/{name}:{key}", silica_api::names::IMAGE_HOST),
        path: cluster
            .layout()
            .cache
            .join("images")
            .join(format!("{name}-{key}.tar")),
    };
    if !archive.path.exists() {
        let started = std::time::Instant::now();
        let content =
            fs::read(executable).with_context(|| format!("failed to read {}", executable.display()))?;
        write(&archive, name, content)?;
        progress::done(&format!("made {}", archive.reference), started);
    }
    import_missing(cluster, std::slice::from_ref(&archive))?;
    Ok(archive.reference)
}

fn write(archive: &Archive, name: &str, executable: Vec<u8>) -> Result<()> {
    let failed = || format!("failed to write {}", archive.path.display());
    if let Some(folder) = archive.path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    let path = format!("/{name}");
    let entries = vec![
        // Go's programs look here for time zones and temporary files; both may be empty.
        Entry::directory("/tmp", 0o1777),
        Entry::file(&path, 0o755, executable),
    ];
    let image = Image {
        reference: archive.reference.clone(),
        layers: vec![Layer::from_entries(entries, Compression::Zstd)?],
        config: ImageConfig {
            entrypoint: vec![path],
            ..ImageConfig::default()
        },
    };
    let unfinished = archive.path.with_extension("tmp");
    let file = File::create(&unfinished).with_context(failed)?;
    write_archive(&[image], BufWriter::with_capacity(1 << 20, file))?;
    fs::rename(&unfinished, &archive.path).with_context(failed)
}
