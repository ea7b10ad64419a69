//! What differs between the architectures that executables are built for.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use silica_provision::command::cargo;
use silica_provision::{cache_dir, packages};

use crate::{command, workspace};

/// An architecture, and what compiles for it.
pub(super) struct Platform {
    /// Rust's name.
    pub(super) target: &'static str,
    /// Ends the names of compressed executables before their extension.
    pub(super) suffix: &'static str,
    /// Compiler, which links as well, and archiver, where those of this machine do not do.
    tools: Option<[PathBuf; 2]>,
}

impl Platform {
    /// That of this machine.
    pub(super) const fn amd64() -> Self {
        Self {
            target: "x86_64-unknown-linux-gnu",
            suffix: "",
            tools: None,
        }
    }

    /// AArch64; brings Rust's standard library and a cross compiler when they are not there.
    pub(super) fn arm64() -> Result<Self> {
        let target = "aarch64-unknown-linux-gnu";
        let mut rustup = Command::new("rustup");
        rustup
            .current_dir(workspace::root())
            .args(["target", "add", target]);
        command::run(&mut rustup).context("failed to get Rust's standard library for arm64")?;
        Ok(Self {
            target,
            suffix: ".arm64",
            tools: Some(packages::arm64_compiler(&cache_dir()?)?),
        })
    }

    /// A release build for this target, linked statically.
    ///
    /// Flags from other variables would replace ours. These apply to this target only, so build
    /// scripts and macros are still linked the usual way.
    pub(super) fn cargo(&self) -> Command {
        let mut cargo = cargo();
        cargo
            .current_dir(workspace::root())
            .args(["build", "--release", "--target", self.target])
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        let name = self.target.replace('-', "_");
        let of_cargo = |key: &str| format!("CARGO_TARGET_{}_{key}", name.to_uppercase());
        cargo.env(of_cargo("RUSTFLAGS"), "-C target-feature=+crt-static");
        if let Some([compiler, archiver]) = &self.tools {
            cargo
                .env(of_cargo("LINKER"), compiler)
                .env(format!("CC_{name}"), compiler)
                .env(format!("AR_{name}"), archiver);
        }
        cargo
    }
}
