//! Paths of the workspace.

use std::path::{Path, PathBuf};

/// The workspace's root directory.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Where everything goes that is made here and does not outlive `cargo clean`.
pub fn target() -> PathBuf {
    root().join("target/silica")
}
