//! The release executables: the whole program optimised at link time.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use silica_provision::progress::{self, Long};
use xtask::cli::build::More;

use super::artifact::{Symbols, compress, megabytes, publish};
use super::platform::Platform;
use super::{CARRIER, LOADER, MEMBERS, create, folder};
use crate::{command, workspace};

/// The best ratio before Zstandard needs much more memory to unpack.
const LEVEL: i32 = 19;

/// Builds everything that changed and returns the path of `silica`.
pub(super) fn build(more: Option<More>) -> Result<PathBuf> {
    let began = Instant::now();
    let (bin, bundle) = (bin(), workspace::target().join("bundle"));
    create(&[&bin, &bundle])?;
    // Those of an earlier run may be of other sources than what is carried beside them.
    let others = MEMBERS.into_iter().chain([LOADER]);
    for name in others.map(|name| bundle.join(format!("{name}.arm64.zst"))) {
        if more.is_none() && name.exists() {
            std::fs::remove_file(&name).with_context(|| format!("failed to remove {}", name.display()))?;
        }
    }
    let long = Long::start("compiling the release executables");
    build_members(&Platform::amd64(), &bin, &bundle)?;
    if let Some(More::Arm64) = more {
        build_members(&Platform::arm64()?, &bin.join("arm64"), &bundle)?;
    }
    progress::done(
        "sandbox-manager, sandbox-runtime and silica-loader built and compressed",
        began,
    );

    let step = Instant::now();
    let platform = Platform::amd64();
    compile(&platform, &[CARRIER], Some(&bundle))?;
    let silica = publish(&built(&platform, CARRIER), &bin, Symbols::Keep)?;
    drop(long);
    progress::done("silica built", step);
    let mut folders = vec![bin.clone()];
    folders.extend(more.map(|More::Arm64| bin.join("arm64")));
    let members = folders
        .iter()
        .flat_map(|folder| MEMBERS.iter().chain(&[LOADER]).map(|name| folder.join(name)));
    for path in members.chain([silica.clone()]) {
        println!("  {:<44} {:>8}", path.display().to_string(), megabytes(&path)?);
    }
    Ok(silica)
}

/// Where the executables are.
pub(super) fn bin() -> PathBuf {
    workspace::target().join("bin")
}

/// What `silica` carries for one architecture.
fn build_members(platform: &Platform, bin: &Path, bundle: &Path) -> Result<()> {
    create(&[bin])?;
    compile(platform, &MEMBERS, None)?;
    compile_loader(platform)?;
    for name in MEMBERS.into_iter().chain([LOADER]) {
        let executable = publish(&built(platform, name), bin, Symbols::Keep)?;
        let compressed = bundle.join(format!("{name}{}.zst", platform.suffix));
        compress(&executable, &compressed, LEVEL)?;
    }
    Ok(())
}

/// Compiles the named executables. All packages are always selected, so that their common
/// dependencies have the same features, and are compiled once, in both calls.
fn compile(platform: &Platform, executables: &[&str], bundle: Option<&Path>) -> Result<()> {
    let mut cargo = platform.cargo();
    for package in MEMBERS.iter().chain(&[CARRIER]) {
        cargo.args(["--package", package]);
    }
    for executable in executables {
        cargo.args(["--bin", executable]);
    }
    match bundle {
        Some(bundle) => cargo.env(super::BUNDLE_VARIABLE, bundle),
        None => cargo.env_remove(super::BUNDLE_VARIABLE),
    };
    command::run(&mut cargo)
}

/// Compiles the loader, which does without the standard library and thus apart.
pub(super) fn compile_loader(platform: &Platform) -> Result<()> {
    command::run(
        platform
            .cargo()
            .args(["--package", LOADER, "--features", "freestanding"]),
    )
}

/// What Cargo has built.
pub(super) fn built(platform: &Platform, name: &str) -> PathBuf {
    folder(platform.target, "release").join(name)
}
