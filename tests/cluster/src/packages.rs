//! The programs of the operating system that the node needs, from Debian packages.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{command, run};
use crate::progress;

/// A file that must be there, the package that brings it and what it is for.
struct Requirement {
    file: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const fn need(file: &'static str, package: &'static str, purpose: &'static str) -> Requirement {
    Requirement {
        file,
        package,
        purpose,
    }
}

const REQUIREMENTS: &[Requirement] = &[
    need("containerd", "containerd", "container runtime of the node"),
    need("ctr", "containerd", "image import"),
    need("runc", "runc", "starts containers"),
    need(
        "/usr/lib/cni/bridge",
        "containernetworking-plugins",
        "pod network",
    ),
    need("ip", "iproute2", "network namespace and veth pair"),
    need("iptables", "iptables", "services"),
    need("conntrack", "conntrack", "services"),
    need("ipset", "ipset", "services"),
    need("ethtool", "ethtool", "pod network"),
    need("socat", "socat", "port-forward"),
    need("nsenter", "util-linux", "namespaces"),
    need("mount", "mount", "namespaces"),
    need("debootstrap", "debootstrap", "test images"),
    need(
        "/usr/sbin/unbound",
        "unbound",
        "validating resolver of the DNS tests",
    ),
    need(
        "/etc/ssl/certs/ca-certificates.crt",
        "ca-certificates",
        "test images",
    ),
];

/// Where programs are looked for, here and by the daemons.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Installs what is missing, saying what and why. Does nothing when all is there.
pub(crate) fn install_missing() -> Result<()> {
    let missing = observe_missing();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing
        .iter()
        .map(|r| format!("{} ({})", r.package, r.purpose))
        .collect::<Vec<_>>()
        .join(", ");
    let mut packages: Vec<&str> = missing.iter().map(|requirement| requirement.package).collect();
    packages.sort_unstable();
    packages.dedup();
    ensure!(
        program("apt-get"),
        "failed to find {list}: this machine has no apt-get; install the equivalents of: {}",
        packages.join(" ")
    );
    let started = Instant::now();
    progress::starting(&format!("installing Debian packages: {list}"));
    if install(&packages).is_err() {
        // The usual reason is an empty or outdated package list.
        run(&mut command(["apt-get", "update", "-qq"])).context("failed to update the package lists")?;
        install(&packages).context("failed to install packages")?;
    }
    progress::done("packages installed", started);
    match observe_missing().first() {
        None => Ok(()),
        Some(still) => bail!("failed to find {} after installing {}", still.file, still.package),
    }
}

fn observe_missing() -> Vec<&'static Requirement> {
    REQUIREMENTS
        .iter()
        .filter(|need| {
            if need.file.starts_with('/') {
                !Path::new(need.file).exists()
            } else {
                !program(need.file)
            }
        })
        .collect()
}

fn program(name: &str) -> bool {
    PATH.split(':')
        .any(|directory| Path::new(directory).join(name).is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    let words = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
    run(command(words)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // The programs are wanted, not the services that come with them.
        .env("SYSTEMD_OFFLINE", "1")
        .env("RUNLEVEL", "1"))
    .map(drop)
}
