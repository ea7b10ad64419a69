//! Embeds the compressed executables into the CLI.
//!
//! `SILICA_BUNDLE_DIR` names a folder with `sandbox-manager.zst` and `sandbox-runtime.zst` for
//! x86-64, the same with `.arm64.zst` for AArch64 when they were built, and the loader, which
//! only the way through ConfigMaps needs. Without the variable the CLI is built with an empty
//! bundle and says so when it would need one.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// What a bundle must have.
const REQUIRED: [&str; 2] = ["sandbox-manager", "sandbox-runtime"];
/// What it may have.
const OPTIONAL: [&str; 4] = [
    "sandbox-manager.arm64",
    "sandbox-runtime.arm64",
    "silica-loader",
    "silica-loader.arm64",
];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=SILICA_BUNDLE_DIR");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    let bundle = env::var_os("SILICA_BUNDLE_DIR")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from);
    if let Some(bundle) = &bundle {
        // Files that come later count, too.
        println!("cargo::rerun-if-changed={}", bundle.display());
    }
    for member in REQUIRED {
        embed(bundle.as_deref(), member, &out)?;
    }
    for member in OPTIONAL {
        let is_there = |bundle: &&Path| bundle.join(format!("{member}.zst")).exists();
        embed(bundle.as_deref().filter(is_there), member, &out)?;
    }
    Ok(())
}

/// Puts one member into the output folder; an empty file stands for none.
fn embed(bundle: Option<&Path>, member: &str, out: &Path) -> io::Result<()> {
    let name = format!("{member}.zst");
    let target = out.join(&name);
    let Some(bundle) = bundle else {
        return fs::write(target, []);
    };
    let source = bundle.join(name);
    println!("cargo::rerun-if-changed={}", source.display());
    fs::copy(&source, target)
        .map(drop)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", source.display())))
}
