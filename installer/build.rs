//! Embeds the compressed server binaries into the CLI.
//!
//! `SILICA_BUNDLE_DIR` names a folder with `sandbox-manager.zst` and
//! `sandbox-runtime.zst`. Without it the CLI is built with an empty bundle and
//! says so when it would need one.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const MEMBERS: [&str; 2] = ["sandbox-manager", "sandbox-runtime"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=SILICA_BUNDLE_DIR");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    let bundle = env::var_os("SILICA_BUNDLE_DIR")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from);
    for member in MEMBERS {
        embed(bundle.as_deref(), member, &out)?;
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
