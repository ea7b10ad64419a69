//! Executables for tests and for the local cluster, compiled as tests are: with the same
//! dependencies, without optimisation of the whole program.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use silica_provision::progress::{self, Long};

use super::artifact::{Symbols, compress, publish};
use super::platform::Platform;
use super::release::{built, compile_loader};
use super::{CARRIER, LOADER, MEMBERS, create, folder};
use crate::{command, workspace};

/// These go no further than this machine: a quick compression is enough.
const LEVEL: i32 = 3;

/// Builds everything that changed and returns the path of `silica`.
pub(super) fn build() -> Result<PathBuf> {
    let began = Instant::now();
    let (bin, bundle) = (bin(), bundle());
    create(&[&bin, &bundle])?;
    let platform = Platform::amd64();
    let long = Long::start("compiling Silica with Cargo");
    compile(&MEMBERS)?;
    compile_loader(&platform)?;
    let debug = folder(platform.target, "debug");
    for name in MEMBERS {
        let executable = publish(&debug.join(name), &bin, Symbols::Strip)?;
        compress(&executable, &bundle.join(format!("{name}.zst")), LEVEL)?;
    }
    let loader = publish(&built(&platform, LOADER), &bin, Symbols::Keep)?;
    compress(&loader, &bundle.join(format!("{LOADER}.zst")), LEVEL)?;
    compile(&[CARRIER])?;
    drop(long);
    let silica = publish(&debug.join(CARRIER), &bin, Symbols::Strip)?;
    progress::done("Silica built", began);
    Ok(silica)
}

/// Cargo with the executables in the bundle, once they are there, so that artifacts, tests and lints
/// share what they compile.
pub(super) fn cargo() -> Command {
    let mut cargo = silica_provision::command::cargo();
    cargo.current_dir(workspace::root());
    let bundle = bundle();
    if MEMBERS
        .iter()
        .all(|name| bundle.join(format!("{name}.zst")).exists())
    {
        cargo.env(super::BUNDLE_VARIABLE, bundle);
    } else {
        cargo.env_remove(super::BUNDLE_VARIABLE);
    }
    cargo
}

fn compile(executables: &[&str]) -> Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--workspace"]);
    for executable in executables {
        cargo.args(["--bin", executable]);
    }
    command::run(&mut cargo)
}

/// Where the executables are.
pub(super) fn bin() -> PathBuf {
    workspace::target().join("local/bin")
}

fn bundle() -> PathBuf {
    workspace::target().join("local/bundle")
}

/// Compiles the tests, too, so that a suite that runs them only runs.
pub(super) fn build_tests() -> Result<()> {
    let began = Instant::now();
    let long = Long::start("compiling the tests with Cargo");
    command::run(cargo().args(["test", "--quiet", "--workspace", "--no-run"]))?;
    drop(long);
    progress::done("tests compiled", began);
    Ok(())
}
