//! Makes root file systems with debootstrap, apt and a setup script.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::inputs::{Inputs, SUITE};
use super::mirror;

/// Settings of this machine that let programs in the new root reach the package registries,
/// shown to the setup script only and never part of an image.
const NETWORK_FILES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/resolv.conf",
    "/etc/pip.conf",
];

/// A minimal Debian with the image's packages.
pub(crate) fn make_debian(inputs: &Inputs, root: &Path, log: &Path) -> Result<()> {
    let mut debootstrap = Command::new("debootstrap");
    debootstrap
        .arg("--variant=minbase")
        .arg(format!("--include={}", inputs.packages.join(",")))
        .arg(SUITE)
        .arg(root)
        .args(mirror::observe(SUITE));
    run_logged(&mut debootstrap, log).context("failed to bootstrap Debian")?;
    // The node gives each pod its own; the machine's own would tell where the image was made.
    for (file, content) in [
        ("etc/resolv.conf", ""),
        ("etc/hostname", "sandbox\n"),
        ("etc/hosts", "127.0.0.1 localhost\n"),
    ] {
        let path = root.join(file);
        fs::write(&path, content).with_context(|| format!("failed to write {}", path.display()))?;
    }
    setup(inputs, root, log)
}

/// Adds the image's packages to a copy of another image's root.
pub(crate) fn extend_debian(inputs: &Inputs, base: &Path, root: &Path, log: &Path) -> Result<()> {
    // Times are kept: they tell which files are new.
    run_logged(
        Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(base)
            .arg(root),
        log,
    )
    .with_context(|| format!("failed to copy {}", base.display()))?;
    let requirements = root.join("requirements.txt");
    fs::write(&requirements, &inputs.requirements)
        .with_context(|| format!("failed to write {}", requirements.display()))?;
    setup(inputs, root, log)?;
    fs::remove_file(&requirements).with_context(|| format!("failed to remove {}", requirements.display()))
}

/// Installs the packages and runs the setup script inside `root`, in a mount namespace of its own.
fn setup(inputs: &Inputs, root: &Path, log: &Path) -> Result<()> {
    let mut script = String::from("set -eu\nroot=$1\n");
    script.push_str("mount -n -t proc proc \"$root/proc\"\nmount -n --rbind /dev \"$root/dev\"\n");
    let mut extra = Vec::new();
    for file in NETWORK_FILES.into_iter().filter(|file| Path::new(file).exists()) {
        let inside = root.join(file.trim_start_matches('/'));
        if !inside.exists() {
            fs::write(&inside, "").with_context(|| format!("failed to write {}", inside.display()))?;
            extra.push(inside);
        }
        script.extend(["mount -n --bind ", file, " \"$root", file, "\"\n"]);
    }
    if !inputs.packages.is_empty() && !inputs.requirements.is_empty() {
        // The script's own input is the setup script: apt must not read it.
        script.push_str("enter() { chroot \"$root\" \"$@\" </dev/null; }\n");
        script.push_str("enter apt-get update -qq\nenter apt-get install -y -qq --no-install-recommends");
        script.extend(inputs.packages.iter().flat_map(|package| [" ", package]));
        script.push('\n');
    }
    script.push_str("exec chroot \"$root\" /bin/sh -s\n");

    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation=private", "sh", "-c", &script, "setup"])
        .arg(root)
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("HOME", "/root")
        .env("LANG", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive");
    // pip finds its packages the way it does on this machine; local folders stay outside.
    command
        .env_remove("PIP_FIND_LINKS")
        .env_remove("PYTHONPATH")
        .env_remove("VIRTUAL_ENV");
    let file = root.join("setup.sh");
    fs::write(&file, &inputs.setup).with_context(|| format!("failed to write {}", file.display()))?;
    let input = fs::File::open(&file).with_context(|| format!("failed to read {}", file.display()))?;
    run_logged(command.stdin(input), log)
        .with_context(|| format!("failed to set up {}", inputs.name.text()))?;
    extra.push(file);
    for file in extra {
        fs::remove_file(&file).with_context(|| format!("failed to remove {}", file.display()))?;
    }
    Ok(())
}

/// Runs a command with its output in the log; an error shows the log's last lines.
fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("failed to open {}", log.display()))?;
    let errors = file.try_clone().context("failed to share the log")?;
    let program = command.get_program().to_owned();
    let status = command
        .stdout(Stdio::from(file))
        .stderr(Stdio::from(errors))
        .status()
        .with_context(|| format!("failed to run {}", program.display()))?;
    if !status.success() {
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        bail!(
            "{} ended with {status}; the end of {}:\n{}",
            program.display(),
            log.display(),
            lines[lines.len().saturating_sub(8)..].join("\n")
        );
    }
    Ok(())
}
