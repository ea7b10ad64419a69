//! The folder for what is built or downloaded once and survives the local cluster.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// `$SILICA_CACHE`, else `silica` below the user's cache directory.
pub fn cache_dir() -> Result<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("SILICA_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("silica")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/silica")))
        .context("failed to find a cache directory: set SILICA_CACHE")
}
