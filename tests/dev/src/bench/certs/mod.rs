//! Certificates: how fast they are made, beside mkcert and OpenSSL in the same run; what
//! independent linters find in them; and, where an installation is at hand, how long a
//! replacement takes and what it costs clients.

mod lint;
mod make;
mod rotation;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use silica_cluster::Cluster;
use silica_provision::build::{self, Tool};

use crate::build::Profile;
use crate::{python, workspace};

const DOMAIN: &str = "a.example.com";

/// The executables that take part.
struct Tools {
    silica: PathBuf,
    mkcert: PathBuf,
    zlint: PathBuf,
    /// A Python with pkilint.
    pkilint: PathBuf,
}

/// Prints all tables. It is the release executable that is timed: nothing is built here.
pub(crate) fn run(cluster: &Cluster, rounds: usize) -> Result<()> {
    let silica = Profile::Release.silica();
    ensure!(
        silica.exists(),
        "failed to find {}: cargo xtask build makes it",
        silica.display()
    );
    let requirements = workspace::root().join("installer/certs/tests/lint/requirements.txt");
    let tools = Tools {
        silica,
        mkcert: build::build_tool(&cluster.layout().cache, Tool::Mkcert)?,
        zlint: build::build_tool(&cluster.layout().cache, Tool::Zlint)?,
        pkilint: python::environment(&cluster.layout().cache, &requirements)?,
    };
    let folder = env::temp_dir().join(format!("silica-bench-certs-{}", std::process::id()));
    let rounds = rounds.max(1);
    let measured = make::run(&tools, &folder.join("made"), rounds)
        .and_then(|()| lint::run(&tools, &folder.join("linted")))
        .and_then(|()| rotation::run(cluster, &tools.silica, &folder, rounds));
    // What is left of it is no more than a few keys of nobody's.
    let _ = fs::remove_dir_all(&folder);
    measured
}

/// `silica certs generate` into a folder, whose CA is used when it has one.
fn generate(tools: &Tools, key_type: &str, folder: &Path) -> Command {
    let mut command = Command::new(&tools.silica);
    command
        .args(["certs", "generate", "-d", DOMAIN, "--key-type", key_type, "-o"])
        .arg(folder);
    command
}

/// mkcert for the same names, with its CA in the same folder.
fn mkcert(tools: &Tools, is_ecdsa: bool, folder: &Path) -> Command {
    let mut command = Command::new(&tools.mkcert);
    command
        .args(is_ecdsa.then_some("-ecdsa"))
        .args(["-cert-file", "mkcert.pem", "-key-file", "mkcert-key.pem"])
        .args([DOMAIN, "*.a.example.com"])
        .current_dir(folder)
        .env("CAROOT", folder);
    command
}

/// How long a whole process takes, from start to end.
fn time(command: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let took = began.elapsed();
    let status = status.with_context(|| format!("failed to run {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took)
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))
}
