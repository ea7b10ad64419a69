//! Root file systems out of image archives, for programs that run without a node.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use silica_provision::progress;

use super::Archive;
use crate::command;

/// Name of a file that hides one of a layer below.
const WHITEOUT: &str = ".wh.";

/// The root file system of an archive, next to it in the cache. Nobody may write to it.
pub(super) fn unpack(archive: &Archive) -> Result<PathBuf> {
    let root = archive.path.with_extension("root");
    if root.exists() {
        return Ok(root);
    }
    let started = Instant::now();
    let scratch = archive.path.with_extension("unpacking");
    let (blobs, unfinished) = (scratch.join("archive"), scratch.join("root"));
    remove_tree(&scratch)?;
    for directory in [&blobs, &unfinished] {
        fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
    }
    command::run(
        Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(&archive.path)
            .arg("--directory")
            .arg(&blobs),
    )?;
    for layer in layers(&blobs)? {
        extract(&layer, &unfinished)?;
        apply_whiteouts(&unfinished)?;
    }
    fs::rename(&unfinished, &root).with_context(|| format!("failed to move {}", unfinished.display()))?;
    remove_tree(&scratch)?;
    progress::done(&format!("unpacked {}", archive.reference), started);
    Ok(root)
}

/// The files of the layers of the one image in an archive, from the lowest up (OCI image layout).
fn layers(blobs: &Path) -> Result<Vec<PathBuf>> {
    let index = read_json(&blobs.join("index.json"))?;
    let manifest = read_json(&blob(blobs, &index["manifests"][0]["digest"])?)?;
    let layers = manifest["layers"]
        .as_array()
        .context("the manifest names no layers")?;
    layers.iter().map(|layer| blob(blobs, &layer["digest"])).collect()
}

fn blob(blobs: &Path, digest: &Value) -> Result<PathBuf> {
    let digest = digest.as_str().context("the archive names no digest")?;
    Ok(blobs.join("blobs").join(digest.replace(':', "/")))
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("failed to understand {}", path.display()))
}

/// Unpacks one layer, which is compressed with Zstandard.
fn extract(layer: &Path, root: &Path) -> Result<()> {
    let file = File::open(layer).with_context(|| format!("failed to read {}", layer.display()))?;
    let mut tar = Command::new("tar")
        .args([
            "--extract",
            "--numeric-owner",
            "--preserve-permissions",
            "--directory",
        ])
        .arg(root)
        .stdin(Stdio::piped())
        .spawn()
        .context("failed to run tar")?;
    // Dropping the pipe at the end of the statement ends tar's input.
    let input = tar.stdin.take().context("failed to write to tar")?;
    zstd::stream::copy_decode(BufReader::new(file), input)
        .with_context(|| format!("failed to unpack {}", layer.display()))?;
    let status = tar.wait().context("failed to wait for tar")?;
    ensure!(status.success(), "tar: {status}");
    Ok(())
}

/// Removes what the layer hides, and what it hides it with.
fn apply_whiteouts(directory: &Path) -> Result<()> {
    let failed = || format!("failed to read {}", directory.display());
    for entry in fs::read_dir(directory).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let path = entry.path();
        if let Some(hidden) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_prefix(WHITEOUT))
        {
            let hidden = directory.join(hidden);
            if hidden.is_dir() && !hidden.is_symlink() {
                remove_tree(&hidden)?;
            } else if hidden.symlink_metadata().is_ok() {
                fs::remove_file(&hidden).with_context(|| format!("failed to remove {}", hidden.display()))?;
            }
            fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
        } else if entry.file_type().with_context(failed)?.is_dir() {
            apply_whiteouts(&path)?;
        }
    }
    Ok(())
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use silica_oci::{Compression, Entry, Image, ImageConfig, Layer, write_archive};

    use super::*;

    #[test]
    fn upper_layers_replace_and_hide_what_is_below() {
        let directory = std::env::temp_dir().join(format!("silica-unpack-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let layer = |entries| Layer::from_entries(entries, Compression::Zstd).unwrap();
        let lower = layer(vec![
            Entry::directory("/d", 0o755),
            Entry::file("/d/hidden", 0o644, *b"1"),
            Entry::file("/kept", 0o600, *b"2"),
        ]);
        let upper = layer(vec![
            Entry::directory("/d", 0o755),
            Entry::file("/d/.wh.hidden", 0o644, *b""),
            Entry::file("/d/new", 0o644, *b"3"),
        ]);
        let image = Image {
            reference: "example.invalid/image:1".to_owned(),
            layers: vec![lower, upper],
            config: ImageConfig::default(),
        };
        let archive = Archive {
            reference: image.reference.clone(),
            path: directory.join("image.tar"),
        };
        write_archive(&[image], File::create(&archive.path).unwrap()).unwrap();
        let root = unpack(&archive).unwrap();
        assert_eq!(root, unpack(&archive).unwrap());
        let names = |path: &Path| {
            let entries = fs::read_dir(path).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&root), ["d", "kept"]);
        assert_eq!(names(&root.join("d")), ["new"]);
        assert_eq!(names(&directory), ["image.root", "image.tar"]);
        remove_tree(&directory).unwrap();
    }
}
