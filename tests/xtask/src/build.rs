//! `cargo xtask build`: the static release executables.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use silica_cluster::progress;
use silica_oci::Digest;

use crate::{command, elf, workspace};

mod platform;

use platform::Platform;

/// Build the static release executables into target/silica/bin.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask build && target/silica/bin/silica version
  cargo xtask build --arch arm64     # a silica that serves nodes of both architectures

`silica` carries `sandbox-manager`, `sandbox-runtime` and `silica-loader` inside: it is the only file to hand out.")]
pub(crate) struct Arguments {
    /// Build what `silica` carries for this architecture, too, with a cross compiler from Debian packages; `silica` itself stays one for x86-64.
    #[arg(long, value_enum, value_name = "NAME")]
    arch: Option<More>,
}

/// An architecture beside that of this machine.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum More {
    /// AArch64
    Arm64,
}

/// What `silica` carries.
const MEMBERS: [&str; 2] = ["sandbox-manager", DAEMON];
/// Runs in every sandbox.
const DAEMON: &str = "sandbox-runtime";
/// Joins the others where they travel in ConfigMaps, carried as well. Built apart, since it does
/// without the standard library.
const LOADER: &str = "silica-loader";
/// What carries them.
const CARRIER: &str = "silica";
/// The best ratio before Zstandard needs much more memory to unpack.
const LEVEL: i32 = 19;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    build_for(arguments.arch).map(drop)
}

/// Where `silica` is once it is built.
pub(crate) fn path() -> PathBuf {
    workspace::target().join("bin").join(CARRIER)
}

/// Where the sandbox's daemon is once it is built.
pub(crate) fn daemon_path() -> PathBuf {
    workspace::target().join("bin").join(DAEMON)
}

/// Builds the sandbox's daemon alone, with the same features as beside the others.
pub(crate) fn daemon() -> Result<PathBuf> {
    let began = Instant::now();
    let bin = workspace::target().join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("failed to create {}", bin.display()))?;
    let platform = Platform::amd64();
    compile(&platform, &[DAEMON], None)?;
    let daemon = publish(&platform, DAEMON, &bin)?;
    progress::done(&format!("{DAEMON} built"), began);
    Ok(daemon)
}

/// Builds everything that changed and returns the path of `silica`.
pub(crate) fn build() -> Result<PathBuf> {
    build_for(None)
}

fn build_for(more: Option<More>) -> Result<PathBuf> {
    let began = Instant::now();
    let target = workspace::target();
    let (bin, bundle) = (target.join("bin"), target.join("bundle"));
    for directory in [&bin, &bundle] {
        fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
    }
    // Those of an earlier run may be of other sources than what is carried beside them.
    let others = MEMBERS.into_iter().chain([LOADER]);
    for name in others.map(|name| bundle.join(format!("{name}.arm64.zst"))) {
        if more.is_none() && name.exists() {
            fs::remove_file(&name).with_context(|| format!("failed to remove {}", name.display()))?;
        }
    }
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
    let silica = publish(&platform, CARRIER, &bin)?;
    progress::done("silica built", step);
    let mut built: Vec<PathBuf> = MEMBERS
        .iter()
        .chain(&[LOADER])
        .map(|name| bin.join(name))
        .collect();
    if more.is_some() {
        built.extend(
            MEMBERS
                .iter()
                .chain(&[LOADER])
                .map(|name| bin.join("arm64").join(name)),
        );
    }
    for path in built.iter().chain([&silica]) {
        println!("  {:<44} {:>8}", format!("{}", path.display()), megabytes(path)?);
    }
    Ok(silica)
}

/// What `silica` carries for one architecture.
fn build_members(platform: &Platform, bin: &Path, bundle: &Path) -> Result<()> {
    fs::create_dir_all(bin).with_context(|| format!("failed to create {}", bin.display()))?;
    compile(platform, &MEMBERS, None)?;
    compile_loader(platform)?;
    for name in MEMBERS.into_iter().chain([LOADER]) {
        let executable = publish(platform, name, bin)?;
        compress(
            &executable,
            &bundle.join(format!("{name}{}.zst", platform.suffix)),
        )?;
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
        Some(bundle) => cargo.env("SILICA_BUNDLE_DIR", bundle),
        None => cargo.env_remove("SILICA_BUNDLE_DIR"),
    };
    command::run(&mut cargo)
}

/// Compiles the loader.
fn compile_loader(platform: &Platform) -> Result<()> {
    command::run(
        platform
            .cargo()
            .args(["--package", LOADER, "--features", "freestanding"]),
    )
}

/// Copies an executable to where people look for it, after making sure that it is static.
fn publish(platform: &Platform, name: &str, bin: &Path) -> Result<PathBuf> {
    let built = workspace::cargo_target()
        .join(platform.target)
        .join("release")
        .join(name);
    let content = fs::read(&built).with_context(|| format!("failed to read {}", built.display()))?;
    ensure!(
        elf::is_static(&content)?,
        "failed to build {name}: it needs a dynamic loader"
    );
    let public = bin.join(name);
    // A running program's file cannot be written to, but it can be replaced.
    let unfinished = bin.join(format!("{name}.tmp"));
    fs::copy(&built, &unfinished)
        .and_then(|_| fs::rename(&unfinished, &public))
        .with_context(|| format!("failed to write {}", public.display()))?;
    Ok(public)
}

/// Compresses an executable unless the result of the same input is there.
fn compress(executable: &Path, compressed: &Path) -> Result<()> {
    let content = fs::read(executable).with_context(|| format!("failed to read {}", executable.display()))?;
    let digest = format!("{} level {LEVEL}\n", Digest::of(&content));
    let note = compressed.with_extension("zst.input");
    if compressed.exists() && fs::read_to_string(&note).is_ok_and(|noted| noted == digest) {
        return Ok(());
    }
    let failed = || format!("failed to write {}", compressed.display());
    let unfinished = compressed.with_extension("tmp");
    let file = File::create(&unfinished).with_context(failed)?;
    zstd::stream::copy_encode(content.as_slice(), file, LEVEL).with_context(failed)?;
    fs::rename(&unfinished, compressed)
        .and_then(|()| fs::write(&note, digest))
        .with_context(failed)
}

fn megabytes(path: &Path) -> Result<String> {
    let size = fs::metadata(path)
        .with_context(|| format!("failed to read {}", path.display()))?
        .len();
    Ok(format!("{}.{} MB", size / 1_000_000, size / 100_000 % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_input_is_not_compressed_again() {
        let dir = std::env::temp_dir().join(format!("silica-compress-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (input, output) = (dir.join("program"), dir.join("program.zst"));
        fs::write(&input, "one").unwrap();
        compress(&input, &output).unwrap();
        fs::write(&output, "untouched").unwrap();
        compress(&input, &output).unwrap();
        assert_eq!(fs::read(&output).unwrap(), b"untouched");
        fs::write(&input, "two").unwrap();
        compress(&input, &output).unwrap();
        assert_eq!(
            zstd::stream::decode_all(fs::read(&output).unwrap().as_slice()).unwrap(),
            b"two"
        );
        fs::remove_dir_all(&dir).unwrap();
    }
}
