//! The programs of the operating system that the node and the tests need, from Debian packages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::cache_dir;
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
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Installs what is missing, saying what and why. Does nothing when all is there.
pub fn install_missing() -> Result<()> {
    if observe_missing().is_empty() {
        return Ok(());
    }
    // Another process or thread may install them already.
    let cache = cache_dir()?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to create {}", cache.display()))?;
    let path = cache.join("packages.lock");
    let lock = fs::File::create(&path).with_context(|| format!("failed to open {}", path.display()))?;
    lock.lock()
        .with_context(|| format!("failed to lock {}", path.display()))?;
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
        update_lists()?;
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

/// A name server that takes signed updates, for the tests of ACME; its packages are unpacked
/// into the cache, so that no service of the machine is added or started. Returns the folder.
pub fn knot(cache: &Path) -> Result<PathBuf> {
    unpacked(cache, "knot", &["knot", "knot-dnsutils"], "test of ACME")
}

/// A C compiler and linker for AArch64 with the C library to link statically, unpacked into the
/// cache: nothing of it is found by other builds on this machine. Returns the compiler and the
/// archiver.
pub fn arm64_compiler(cache: &Path) -> Result<[PathBuf; 2]> {
    let packages = ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];
    let folder = unpacked(cache, "gcc-aarch64", &packages, "C compiler for arm64")?;
    // Its programs look for their libraries on the machine.
    let wrapper = |name: &str| {
        let path = folder.join(name);
        let root = folder.display();
        let script = format!(
            "#!/bin/sh\nLD_LIBRARY_PATH={root}/usr/lib/x86_64-linux-gnu exec {root}/usr/bin/aarch64-linux-gnu-{name} \"$@\"\n"
        );
        fs::write(&path, script)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok::<_, anyhow::Error>(path)
    };
    Ok([wrapper("gcc")?, wrapper("ar")?])
}

/// The folder in the cache with the content of these packages and of those of their
/// dependencies that this machine has not.
fn unpacked(cache: &Path, name: &str, packages: &[&str], purpose: &str) -> Result<PathBuf> {
    let folder = cache.join("debian").join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let started = Instant::now();
    progress::starting(&format!(
        "downloading and unpacking the Debian packages {} ({purpose})",
        packages.join(" and ")
    ));
    let unfinished = folder.with_extension("tmp");
    let archives = unfinished.join("archives");
    let root = unfinished.join("root");
    for directory in [&archives.join("partial"), &root] {
        fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
    }
    if download(packages, &archives).is_err() {
        update_lists()?;
        download(packages, &archives)?;
    }
    for entry in fs::read_dir(&archives).with_context(|| format!("failed to list {}", archives.display()))? {
        let archive = entry.context("failed to list the packages")?.path();
        if archive.extension().is_some_and(|extension| extension == "deb") {
            run(command(["dpkg", "--extract"]).arg(&archive).arg(&root))?;
        }
    }
    fs::rename(&root, &folder).with_context(|| format!("failed to move {}", root.display()))?;
    fs::remove_dir_all(&unfinished).with_context(|| format!("failed to remove {}", unfinished.display()))?;
    progress::done("packages unpacked", started);
    Ok(folder)
}

/// Downloads packages with those of their dependencies that this machine has not.
fn download(packages: &[&str], archives: &Path) -> Result<()> {
    let words = [
        "apt-get",
        "install",
        "--download-only",
        "--reinstall",
        "-y",
        "-qq",
        "--no-install-recommends",
    ];
    let folder = format!("Dir::Cache::archives={}", archives.display());
    run(command(words).args(["-o", &folder]).args(packages))
        .map(drop)
        .context("failed to download packages")
}

fn update_lists() -> Result<()> {
    run(&mut command(["apt-get", "update", "-qq"]))
        .map(drop)
        .context("failed to update the package lists")
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
