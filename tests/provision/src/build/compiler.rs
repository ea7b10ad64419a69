//! Runs `go build` with progress, and stops it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use super::module::Module;
use crate::command::{command, run};
use crate::progress::Long;

/// Compilers at work.
static RUNNING: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Stops every `go build` of this process; their callers get an error. What they have compiled
/// stays in Go's cache.
pub fn stop() {
    for child in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
        // It may have ended by itself.
        let _ = child.kill();
    }
}

/// Compiles with a line of progress now and then: a large module takes minutes on a cold cache.
pub(super) fn compile(module: &Module, output: &Path) -> Result<()> {
    let go = |words: &[&str]| -> Command {
        let mut go = command(["go"]);
        go.args(words)
            .current_dir(&module.folder)
            .env("CGO_ENABLED", "0")
            .env("GOTOOLCHAIN", "local");
        go
    };
    let packages = run(go(&["list", "-mod=readonly", "-deps"]).arg(module.package))
        .with_context(|| format!("failed to download the Go modules of {}", module.name))?;
    let long = Long::start(&format!("building {} with Go", module.name));
    long.expect(packages.lines().count());
    let flags = format!("-s -w {}", module.link_flags);
    let mut go = go(&[
        "build",
        "-v",
        "-trimpath",
        "-mod=readonly",
        "-ldflags",
        &flags,
        "-o",
    ]);
    go.arg(output).arg(module.package);
    let (status, errors) = run_stoppable(&mut go, &long)?;
    ensure!(
        status.success(),
        "failed to build {}: go build ended with {status}:\n{}",
        module.name,
        errors.join("\n")
    );
    Ok(())
}

/// How it ended, and what it said besides the names of packages.
fn run_stoppable(go: &mut Command, long: &Long) -> Result<(ExitStatus, Vec<String>)> {
    let mut child = go
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to run go build")?;
    let output = child.stderr.take().context("failed to read from go build")?;
    let id = child.id();
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(child);
    let mut errors = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("failed to read from go build")?;
        // With -v it names each package that it compiles, by a path without blanks.
        if line.contains(char::is_whitespace) {
            errors.push(line);
        } else {
            long.advance();
        }
    }
    // It has closed its output, so it ends now.
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let at = running.iter().position(|child| child.id() == id);
    let mut child = running.swap_remove(at.context("failed to find go build")?);
    drop(running);
    let status = child.wait().context("failed to wait for go build")?;
    Ok((status, errors))
}
