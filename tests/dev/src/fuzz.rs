//! `cargo xtask fuzz`: searches for input that what reads certificates and keys
//! cannot take, for a limited time.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use silica_provision::progress;
use xtask::cli::fuzz::Arguments;

use crate::tool::{self, Speed};
use crate::{command, workspace};

/// The version of cargo-fuzz that is installed; its flags are used here.
const CARGO_FUZZ: &str = "0.13.2";
/// What one input may take, in seconds: the targets leave out what asks for more.
const SECONDS_PER_INPUT: u32 = 10;
/// What a target may use, in MiB.
const MEMORY: u32 = 1024;
/// Longest input, in bytes.
const LENGTH: u32 = 64 << 10;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let known = targets(&fuzz_crate().join("fuzz_targets"))?;
    let chosen = match &arguments.target {
        None => known,
        Some(name) => {
            ensure!(
                known.contains(name),
                "there is no target {name:?}; there are {}",
                known.join(", ")
            );
            vec![name.clone()]
        }
    };
    let toolchain = Toolchain::choose()?;
    let program = tool::install("cargo-fuzz", CARGO_FUZZ, Speed::Optimised)?;
    for target in &chosen {
        let started = Instant::now();
        progress::starting(&format!(
            "fuzzing {target} for {} s with {}",
            arguments.seconds, toolchain.name
        ));
        fuzz(&program, &toolchain, target, arguments.seconds)?;
        progress::done(&format!("{target}: nothing found"), started);
    }
    Ok(())
}

fn fuzz_crate() -> PathBuf {
    workspace::root().join("installer/certs/fuzz")
}

/// Names of the targets.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// The compiler that has what the sanitizers need.
struct Toolchain {
    name: &'static str,
    variable: (&'static str, OsString),
}

impl Toolchain {
    /// A nightly one that can build the workspace; else the pinned one, with the
    /// unstable features unlocked.
    fn choose() -> Result<Self> {
        let pinned =
            version("rustc", &[]).context("failed to ask rustc for its version; install Rust with rustup")?;
        let nightly = version("rustup", &["run", "nightly", "rustc"]);
        Ok(match nightly {
            Some(nightly) if nightly >= pinned => Self {
                name: "the nightly toolchain",
                variable: ("RUSTUP_TOOLCHAIN", "nightly".into()),
            },
            _ => Self {
                name: "the pinned toolchain (no nightly that is as new)",
                variable: ("RUSTC_BOOTSTRAP", "1".into()),
            },
        })
    }
}

/// The version of a compiler, when it is there.
fn version(program: &str, arguments: &[&str]) -> Option<(u32, u32)> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg("--version")
        .current_dir(workspace::root());
    let output = command.output().ok()?;
    output
        .status
        .success()
        .then(|| parse_version(&String::from_utf8_lossy(&output.stdout)))?
}

/// Major and minor number of `rustc 1.95.0 (...)` and `rustc 1.97.0-nightly (...)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn fuzz(program: &Path, toolchain: &Toolchain, target: &str, seconds: u32) -> Result<()> {
    let found = workspace::target().join("fuzz").join(target);
    fs::create_dir_all(&found).with_context(|| format!("failed to make {}", found.display()))?;
    let (name, value) = &toolchain.variable;
    command::run(
        Command::new(program)
            .args(["fuzz", "run", target])
            // New inputs go into the first folder, so that the committed ones stay few.
            .arg(&found)
            .arg(fuzz_crate().join("corpus").join(target))
            .arg("--target-dir")
            .arg(workspace::target().join("fuzz-build"))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={SECONDS_PER_INPUT}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-max_len={LENGTH}"))
            .arg("-print_final_stats=1")
            .current_dir(fuzz_crate().join(".."))
            // Those of the cargo that runs this task name its own toolchain.
            .env_remove("CARGO")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env(name, value),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_both_kinds_are_understood() {
        assert_eq!(parse_version("rustc 1.95.0 (0000000 2026-04-14)"), Some((1, 95)));
        assert_eq!(
            parse_version("rustc 1.97.0-nightly (e50 2026-05-19)"),
            Some((1, 97))
        );
        assert_eq!(parse_version("error: no such toolchain"), None);
    }

    #[test]
    fn every_target_has_a_corpus_and_is_tried_on_stable() {
        let names = targets(&fuzz_crate().join("fuzz_targets")).unwrap();
        assert!(names.len() >= 6, "{names:?}");
        let tried = fs::read_to_string(fuzz_crate().join("../tests/fuzz.rs")).unwrap();
        let manifest = fs::read_to_string(fuzz_crate().join("Cargo.toml")).unwrap();
        for name in names {
            let corpus = fuzz_crate().join("corpus").join(&name);
            assert!(fs::read_dir(corpus).unwrap().count() > 0, "{name} has no corpus");
            assert!(
                tried.contains(&format!("targets::{name})")),
                "{name} is not in tests/fuzz.rs"
            );
            assert!(
                manifest.contains(&format!("name = \"{name}\"")),
                "{name} is not built"
            );
        }
    }
}
