//! Programs of others that Cargo installs into the cache.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use silica_provision::command::cargo;
use silica_provision::{cache_dir, progress};

use crate::command;

/// How a program is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    /// It runs quickly.
    Optimised,
    /// It is compiled quickly.
    Plain,
}

/// The program of this version, installed unless it is in the cache.
pub(crate) fn install(name: &str, version: &str, speed: Speed) -> Result<PathBuf> {
    let root = cache_dir()?.join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if program.exists() {
        return Ok(program);
    }
    let started = Instant::now();
    progress::starting(&format!("installing {name}"));
    command::run(
        cargo()
            .args([
                "install",
                name,
                "--locked",
                "--quiet",
                "--version",
                version,
                "--root",
            ])
            .arg(&root)
            .args((speed == Speed::Plain).then_some("--debug"))
            // The settings of the workspace are of no use to it.
            .current_dir(std::env::temp_dir())
            .env_remove("CARGO_TARGET_DIR"),
    )
    .with_context(|| format!("failed to install {name} from crates.io"))?;
    progress::done(&format!("{name} installed"), started);
    Ok(program)
}
