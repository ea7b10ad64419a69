//! Paths of the workspace.

use std::path::{Path, PathBuf};

/// The workspace's root directory.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Where everything goes that is made here and does not outlive `cargo clean`.
pub(crate) fn target() -> PathBuf {
    root().join("target/silica")
}

/// Where Cargo puts what it builds: `target`, or what `CARGO_TARGET_DIR` names.
pub(crate) fn cargo_target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").filter(|name| !name.is_empty());
    // Cargo takes a relative one from the folder that it runs in, which is the root here.
    root().join(named.map_or_else(|| PathBuf::from("target"), PathBuf::from))
}
