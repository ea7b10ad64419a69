//! Makes an image archive in the cache, unless it is there.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use silica_cluster::pause;
use silica_oci::{Compression, Entry, Image, ImageConfig, Layer, write_archive};
use silica_provision::progress;

use super::Archive;
use super::inputs::{self, Inputs, Name};
use super::rootfs;

/// Where the pause program is in an image. As entrypoint it keeps a pod up that names no
/// command, reaps orphans and, unlike `sleep`, ends at once on SIGTERM.
const PAUSE: &str = "usr/local/bin/pause";

/// The archive of an image. Everything is built under a temporary name and moved into place
/// at the end, so that an interrupted run leaves nothing half done.
pub(crate) fn make(cache: &Path, name: Name) -> Result<Archive> {
    let inputs = inputs::read(name)?;
    let directory = cache.join("images");
    fs::create_dir_all(&directory).with_context(|| format!("failed to create {}", directory.display()))?;
    let archive = Archive {
        reference: inputs.reference(),
        path: directory.join(format!("{}-{}.tar", name.text(), inputs.tag)),
    };
    if archive.path.exists() {
        return Ok(archive);
    }
    let started = Instant::now();
    if name != Name::Minimal {
        progress::starting(&format!("making {} (once; about a minute)", archive.reference));
    }
    let scratch = directory.join(format!("{}-{}.work", name.text(), inputs.tag));
    remove_tree(&scratch)?;
    fs::create_dir_all(&scratch).with_context(|| format!("failed to create {}", scratch.display()))?;
    let work = Work {
        cache: directory,
        scratch,
    };
    let image = Image {
        reference: archive.reference.clone(),
        layers: work.layers(&inputs)?,
        config: config(name),
    };
    let unfinished = work.scratch.join("archive.tar");
    let file =
        File::create(&unfinished).with_context(|| format!("failed to create {}", unfinished.display()))?;
    write_archive(&[image], BufWriter::with_capacity(1 << 20, file))?;
    rename(&unfinished, &archive.path)?;
    remove_tree(&work.scratch)?;
    progress::done(&format!("made {}", archive.reference), started);
    Ok(archive)
}

fn config(name: Name) -> ImageConfig {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    if name == Name::Minimal {
        return ImageConfig {
            entrypoint: words(&["/pause"]),
            ..ImageConfig::default()
        };
    }
    ImageConfig {
        entrypoint: vec![format!("/{PAUSE}")],
        env: words(&[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
        ]),
        workdir: "/home/user".to_owned(),
        ..ImageConfig::default()
    }
}

struct Work {
    cache: PathBuf,
    scratch: PathBuf,
}

impl Work {
    fn layers(&self, inputs: &Inputs) -> Result<Vec<Layer>> {
        match inputs.name {
            Name::Minimal => Ok(vec![minimal_layer()?]),
            Name::Base => Ok(vec![self.base_layer(&self.base_root(inputs)?)?]),
            Name::CodeInterpreter => {
                let base = self.base_root(&inputs::read(Name::Base)?)?;
                let root = self.scratch.join("root");
                rootfs::extend_debian(inputs, &base, &root, &self.scratch.join("log"))?;
                let blob = self.scratch.join("layer");
                let own = Layer::from_directory_changes(&base, &root, &blob, Compression::Zstd)?;
                Ok(vec![self.base_layer(&base)?, own])
            }
        }
    }

    fn base_layer(&self, root: &Path) -> Result<Layer> {
        Ok(Layer::from_directory(
            root,
            &self.scratch.join("base-layer"),
            Compression::Zstd,
        )?)
    }

    /// The root file system of `base`, which `code-interpreter` starts from.
    fn base_root(&self, inputs: &Inputs) -> Result<PathBuf> {
        let root = self.cache.join(format!("base-{}.root", inputs.tag));
        if root.exists() {
            return Ok(root);
        }
        let unfinished = self.scratch.join("base-root");
        rootfs::make_debian(inputs, &unfinished, &self.scratch.join("log"))?;
        write_executable(&unfinished.join(PAUSE), &pause::executable())?;
        rename(&unfinished, &root)?;
        Ok(root)
    }
}

fn minimal_layer() -> Result<Layer> {
    let entries = vec![
        Entry::directory("/etc", 0o755),
        Entry::file("/etc/passwd", 0o644, *b"root:x:0:0:root:/root:/pause\n"),
        Entry::file("/etc/group", 0o644, *b"root:x:0:\n"),
        Entry::directory("/root", 0o700),
        Entry::directory("/tmp", 0o1777),
        Entry::file("/pause", 0o755, pause::executable()),
    ];
    Ok(Layer::from_entries(entries, Compression::Gzip)?)
}

fn write_executable(path: &Path, content: &[u8]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("failed to write {}", path.display()))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("failed to move {} to {}", from.display(), to.display()))
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
