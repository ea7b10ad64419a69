//! Python environments in the cache, one per requirements file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use silica_oci::Digest;
use silica_provision::progress;

use crate::command;

/// The interpreter of an environment with the requirements installed.
pub(crate) fn environment(cache: &Path, requirements: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("failed to read {}", requirements.display()))?;
    let mut check = Command::new("python3");
    check.args([
        "-c",
        "import sys; assert sys.version_info >= (3, 10), sys.version; print(sys.version)",
    ]);
    let version = command::read(&mut check).context("failed to find Python 3.10 or newer")?;
    let key = Digest::of(format!("{version}\0{wanted}").as_bytes()).hex()[..12].to_owned();
    let directory = cache.join("python").join(key);
    let python = directory.join("bin/python");
    let complete = directory.join("complete");
    if complete.exists() {
        return Ok(python);
    }
    let started = Instant::now();
    progress::starting(&format!(
        "making a Python environment for {}",
        requirements.display()
    ));
    command::run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&directory),
    )?;
    command::run(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(requirements),
    )?;
    fs::write(&complete, "").with_context(|| format!("failed to write {}", complete.display()))?;
    progress::done("Python environment made", started);
    Ok(python)
}
