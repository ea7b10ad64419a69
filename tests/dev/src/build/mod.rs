//! The executables: those for local work, and `cargo xtask build` for those that are handed out.

mod artifact;
mod local;
mod platform;
mod release;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xtask::cli::build::Arguments;

use crate::workspace;

/// What `silica` carries.
const MEMBERS: [&str; 2] = ["sandbox-manager", DAEMON];
/// Runs in every sandbox.
const DAEMON: &str = "sandbox-runtime";
/// Joins the others where they travel in ConfigMaps, carried as well. Built apart, since it does
/// without the standard library.
const LOADER: &str = "silica-loader";
/// What carries them.
const CARRIER: &str = "silica";
/// Names the folder with what `silica` carries to its build script.
const BUNDLE_VARIABLE: &str = "SILICA_BUNDLE_DIR";

/// How executables are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As tests are: quickly.
    Local,
    /// For distribution: small and fast, and slow to compile.
    Release,
}

impl Profile {
    /// Builds everything that changed and returns the path of `silica`.
    pub(crate) fn build(self) -> Result<PathBuf> {
        match self {
            Self::Local => local::build(),
            Self::Release => release::build(None),
        }
    }

    /// Where `silica` is once it is built.
    pub(crate) fn silica(self) -> PathBuf {
        self.bin().join(CARRIER)
    }

    /// Where the sandbox's daemon is once it is built.
    pub(crate) fn daemon(self) -> PathBuf {
        self.bin().join(DAEMON)
    }

    /// Where the manager is once it is built.
    pub(crate) fn manager(self) -> PathBuf {
        self.bin().join(MEMBERS[0])
    }

    fn bin(self) -> PathBuf {
        match self {
            Self::Local => local::bin(),
            Self::Release => release::bin(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    release::build(arguments.arch).map(drop)
}

/// Compiles the tests, so that a suite that runs them only runs.
pub(crate) fn build_tests() -> Result<()> {
    local::build_tests()
}

/// Cargo for tests and lints, which share what the local artifacts are made of.
pub(crate) fn cargo() -> Command {
    local::cargo()
}

/// Where Cargo puts executables.
fn folder(target: &str, profile: &str) -> PathBuf {
    workspace::cargo_target().join(target).join(profile)
}

fn create(directories: &[&Path]) -> Result<()> {
    directories.iter().try_for_each(|directory| {
        fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))
    })
}
