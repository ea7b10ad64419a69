//! Builds Kubernetes, CoreDNS and the other real parts from their Go modules, once per input.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{command, run};
use crate::layout::Layout;
use crate::progress;

/// The built executables.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// etcd and all Kubernetes components, chosen by the first argument.
    pub kubernetes: PathBuf,
    /// The cluster's DNS server.
    pub coredns: PathBuf,
}

/// Builds what the cache does not hold yet. A first build takes several minutes.
pub fn build(layout: &Layout) -> Result<Binaries> {
    let go = go_version()?;
    let kubernetes = layout.go_modules.join("kubernetes");
    let version = kubernetes_version(&kubernetes)?;
    let minor = version.split('.').nth(1).unwrap_or_default();
    // Without these the node reports v0.0.0.
    let version_flags = ["gitVersion", "gitMajor", "gitMinor"]
        .into_iter()
        .zip([version.as_str(), "1", minor])
        .map(|(name, value)| format!("-X k8s.io/component-base/version.{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ");
    Ok(Binaries {
        kubernetes: build_module(
            layout,
            &go,
            &Module {
                folder: &kubernetes,
                package: ".",
                name: "kubernetes",
                link_flags: &version_flags,
            },
        )?,
        coredns: build_module(
            layout,
            &go,
            &Module {
                folder: &layout.go_modules.join("coredns"),
                package: "github.com/coredns/coredns",
                name: "coredns",
                link_flags: "",
            },
        )?,
    })
}

/// A real server or an independent judge that tests run by themselves, outside the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// CNCF distribution: an OCI registry.
    Registry,
    /// An ACME certificate authority made for tests.
    Pebble,
    /// A linter of X.509 certificates.
    Zlint,
    /// Another maker of certificates, to compare with.
    Mkcert,
    /// A controller for Ingress and Gateway API; it runs inside the cluster.
    Traefik,
}

impl Tool {
    /// Those that the workspace's own tests start.
    pub const ALL: [Self; 4] = [Self::Registry, Self::Pebble, Self::Zlint, Self::Mkcert];

    /// The name of the executable, and of the folder of its module.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Pebble => "pebble",
            Self::Zlint => "zlint",
            Self::Mkcert => "mkcert",
            Self::Traefik => "traefik",
        }
    }

    /// The environment variable that names the executable to the tests.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Registry => "SILICA_REGISTRY",
            Self::Pebble => "SILICA_PEBBLE",
            Self::Zlint => "SILICA_ZLINT",
            Self::Mkcert => "SILICA_MKCERT",
            Self::Traefik => "SILICA_TRAEFIK",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::Registry => "github.com/distribution/distribution/v3/cmd/registry",
            Self::Pebble => "github.com/letsencrypt/pebble/v2/cmd/pebble",
            Self::Zlint => "github.com/zmap/zlint/v3/cmd/zlint",
            Self::Mkcert => "filippo.io/mkcert",
            Self::Traefik => "github.com/traefik/traefik/v3/cmd/traefik",
        }
    }
}

/// Builds a tool unless the cache holds it, and returns its path.
pub fn build_tool(layout: &Layout, tool: Tool) -> Result<PathBuf> {
    build_module(
        layout,
        &go_version()?,
        &Module {
            folder: &layout.go_modules.join(tool.name()),
            package: tool.package(),
            name: tool.name(),
            link_flags: "",
        },
    )
}

fn go_version() -> Result<String> {
    run(command(["go", "version"]).env("GOTOOLCHAIN", "local"))
        .context("failed to find the Go toolchain, which builds Kubernetes and the tools of the tests")
}

struct Module<'a> {
    folder: &'a Path,
    package: &'a str,
    name: &'a str,
    link_flags: &'a str,
}

fn build_module(layout: &Layout, go_version: &str, module: &Module<'_>) -> Result<PathBuf> {
    let key = input_hash(module.folder, &[go_version, module.package, module.link_flags])?;
    let directory = layout.cache.join("go").join(format!("{}-{key}", module.name));
    let executable = directory.join(module.name);
    if executable.exists() {
        return Ok(executable);
    }
    let started = Instant::now();
    progress::starting(&format!(
        "building {} with Go (once; minutes on a cold cache)",
        module.name
    ));
    fs::create_dir_all(&directory).with_context(|| format!("failed to create {}", directory.display()))?;
    let unfinished = directory.join(format!("{}.{}.tmp", module.name, std::process::id()));
    let flags = format!("-s -w {}", module.link_flags);
    let status = command([
        "go",
        "build",
        "-trimpath",
        "-mod=readonly",
        "-ldflags",
        &flags,
        "-o",
    ])
    .arg(&unfinished)
    .arg(module.package)
    .current_dir(module.folder)
    .env("CGO_ENABLED", "0")
    .status()
    .context("failed to run go build")?;
    ensure!(
        status.success(),
        "failed to build {}: go build ended with {status}",
        module.name
    );
    fs::rename(&unfinished, &executable)
        .with_context(|| format!("failed to move the executable to {}", executable.display()))?;
    progress::done(&format!("{} built", module.name), started);
    Ok(executable)
}

/// 16 hex digits over the files of `folder` and the other inputs of a build.
fn input_hash(folder: &Path, others: &[&str]) -> Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("failed to list {}", folder.display()))?;
    files.sort();
    let mut inputs = Vec::new();
    for other in others {
        inputs.extend_from_slice(other.as_bytes());
        inputs.push(0);
    }
    for file in files {
        let content = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        inputs.extend_from_slice(file.file_name().unwrap_or_default().as_encoded_bytes());
        inputs.push(0);
        inputs.extend_from_slice(&(content.len() as u64).to_le_bytes());
        inputs.extend_from_slice(&content);
    }
    let mut hex = silica_oci::Digest::of(&inputs).hex();
    hex.truncate(16);
    Ok(hex)
}

/// The version of `k8s.io/kubernetes` that the module requires, e.g. `v1.35.4`.
fn kubernetes_version(folder: &Path) -> Result<String> {
    let path = folder.join("go.mod");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let version = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    match version {
        Some(version) => Ok(version.trim().to_owned()),
        None => bail!("failed to find k8s.io/kubernetes in {}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_input_gives_another_key() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("go.mod"), "a").unwrap();
        let before = input_hash(dir.path(), &["go1"]).unwrap();
        assert_eq!(before, input_hash(dir.path(), &["go1"]).unwrap());
        assert_ne!(before, input_hash(dir.path(), &["go2"]).unwrap());
        fs::write(dir.path().join("go.mod"), "b").unwrap();
        assert_ne!(before, input_hash(dir.path(), &["go1"]).unwrap());
    }

    #[test]
    fn version_is_taken_from_the_module() {
        let version =
            kubernetes_version(&Layout::of_checkout().unwrap().go_modules.join("kubernetes")).unwrap();
        assert!(version.starts_with("v1."), "{version}");
    }
}
