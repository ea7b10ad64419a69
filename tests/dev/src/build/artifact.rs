//! Built executables, and how they get into the files that are handed on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use silica_oci::Digest;

use crate::{command, elf};

/// What happens to the names of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbols {
    /// The compiler has removed them already.
    Keep,
    /// They are removed from the copy.
    Strip,
}

/// Copies an executable to where people look for it, after making sure that it is static.
pub(super) fn publish(built: &Path, bin: &Path, symbols: Symbols) -> Result<PathBuf> {
    let name = built.file_name().unwrap_or_default();
    let content = fs::read(built).with_context(|| format!("failed to read {}", built.display()))?;
    ensure!(
        elf::is_static(&content)?,
        "failed to build {}: it needs a dynamic loader",
        name.display()
    );
    let public = bin.join(name);
    // A running program's file cannot be written to, but it can be replaced.
    let unfinished = public.with_extension("tmp");
    match symbols {
        Symbols::Keep => fs::copy(built, &unfinished)
            .map(drop)
            .with_context(|| format!("failed to write {}", unfinished.display()))?,
        // Part of binutils, as the linker is that Rust uses.
        Symbols::Strip => command::run(
            Command::new("strip")
                .arg("--strip-all")
                .arg("-o")
                .args([&unfinished, built]),
        )?,
    }
    fs::rename(&unfinished, &public).with_context(|| format!("failed to write {}", public.display()))?;
    Ok(public)
}

/// Compresses an executable unless the result of the same input is there.
pub(super) fn compress(executable: &Path, compressed: &Path, level: i32) -> Result<()> {
    let content = fs::read(executable).with_context(|| format!("failed to read {}", executable.display()))?;
    let digest = format!("{} level {level}\n", Digest::of(&content));
    let note = compressed.with_extension("zst.input");
    if compressed.exists() && fs::read_to_string(&note).is_ok_and(|noted| noted == digest) {
        return Ok(());
    }
    let failed = || format!("failed to write {}", compressed.display());
    let unfinished = compressed.with_extension("tmp");
    let file = File::create(&unfinished).with_context(failed)?;
    zstd::stream::copy_encode(content.as_slice(), file, level).with_context(failed)?;
    fs::rename(&unfinished, compressed)
        .and_then(|()| fs::write(&note, digest))
        .with_context(failed)
}

/// A file's size for people.
pub(super) fn megabytes(path: &Path) -> Result<String> {
    let size = fs::metadata(path)
        .with_context(|| format!("failed to read {}", path.display()))?
        .len();
    Ok(format!("{}.{} MB", size / 1_000_000, size / 100_000 % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_input_is_not_compressed_again() {
        let dir = std::env::temp_dir().join(format!("silica-compress-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (input, output) = (dir.join("program"), dir.join("program.zst"));
        fs::write(&input, "one").unwrap();
        compress(&input, &output, 3).unwrap();
        fs::write(&output, "untouched").unwrap();
        compress(&input, &output, 3).unwrap();
        assert_eq!(fs::read(&output).unwrap(), b"untouched");
        fs::write(&input, "two").unwrap();
        compress(&input, &output, 3).unwrap();
        assert_eq!(
            zstd::stream::decode_all(fs::read(&output).unwrap().as_slice()).unwrap(),
            b"two"
        );
        fs::remove_dir_all(&dir).unwrap();
    }
}
