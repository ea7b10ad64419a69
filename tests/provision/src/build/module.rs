//! A Go module, and the place of its executable in the cache.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::compiler;
use crate::command::{command, run};
use crate::progress;

/// What is built.
pub(super) struct Module {
    pub(super) folder: PathBuf,
    pub(super) package: &'static str,
    pub(super) name: &'static str,
    pub(super) link_flags: String,
}

impl Module {
    /// Where the executable of these inputs is once it is built.
    pub(super) fn executable(&self, cache: &Path) -> Result<PathBuf> {
        let key = input_hash(&self.folder, &[go_version()?, self.package, &self.link_flags])?;
        let folder = cache.join("go").join(format!("{}-{key}", self.name));
        Ok(folder.join(self.name))
    }

    /// The executable, built unless the cache holds it.
    pub(super) fn build(&self, cache: &Path) -> Result<PathBuf> {
        let executable = self.executable(cache)?;
        if executable.exists() {
            return Ok(executable);
        }
        let folder = executable.with_file_name("");
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
        // Another process or thread may build it already: wait, and find its result.
        let path = folder.join("lock");
        let lock = File::create(&path).with_context(|| format!("failed to open {}", path.display()))?;
        lock.lock()
            .with_context(|| format!("failed to lock {}", path.display()))?;
        if executable.exists() {
            return Ok(executable);
        }
        let started = Instant::now();
        let unfinished = executable.with_extension("tmp");
        compiler::compile(self, &unfinished)?;
        fs::rename(&unfinished, &executable)
            .with_context(|| format!("failed to move the executable to {}", executable.display()))?;
        progress::done(&format!("{} built with Go", self.name), started);
        Ok(executable)
    }
}

/// The version of the toolchain, asked for once: the place of a program is looked up often.
fn go_version() -> Result<&'static str> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version);
    }
    let version = run(command(["go", "version"]).env("GOTOOLCHAIN", "local"))
        .context("failed to find the Go toolchain, which builds Kubernetes and the tools of the tests")?;
    Ok(VERSION.get_or_init(|| version))
}

/// The folder with the Go modules.
pub(super) fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("go")
}

/// 16 hex digits over the files of `folder` and the other inputs of a build.
fn input_hash(folder: &Path, others: &[&str]) -> Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("failed to list {}", folder.display()))?;
    files.sort();
    let mut inputs = Vec::new();
    for other in others {
        inputs.extend_from_slice(other.as_bytes());
        inputs.push(0);
    }
    for file in files {
        let content = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        inputs.extend_from_slice(file.file_name().unwrap_or_default().as_encoded_bytes());
        inputs.push(0);
        inputs.extend_from_slice(&(content.len() as u64).to_le_bytes());
        inputs.extend_from_slice(&content);
    }
    let digest = Sha256::digest(&inputs);
    Ok(digest[..8].iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_input_gives_another_key() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("go.mod"), "a").unwrap();
        let before = input_hash(dir.path(), &["go1"]).unwrap();
        assert_eq!(before, input_hash(dir.path(), &["go1"]).unwrap());
        assert_ne!(before, input_hash(dir.path(), &["go2"]).unwrap());
        fs::write(dir.path().join("go.mod"), "b").unwrap();
        assert_ne!(before, input_hash(dir.path(), &["go1"]).unwrap());
    }
}
