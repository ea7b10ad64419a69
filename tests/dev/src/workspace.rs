//! Paths of the workspace.

use std::path::PathBuf;

pub(crate) use silica_provision::workspace::{root, target};

/// Where Cargo puts what it builds: `target`, or what `CARGO_TARGET_DIR` names.
pub(crate) fn cargo_target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").filter(|name| !name.is_empty());
    // Cargo takes a relative one from the folder that it runs in, which is the root here.
    root().join(named.map_or_else(|| PathBuf::from("target"), PathBuf::from))
}
