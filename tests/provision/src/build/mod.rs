//! Builds Kubernetes, CoreDNS and the other real parts from their Go modules, once per input.

mod compiler;
mod module;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use compiler::stop;
use module::{Module, modules};
pub use tool::Tool;

/// The built executables.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// etcd and all Kubernetes components, chosen by the first argument.
    pub kubernetes: PathBuf,
    /// The cluster's DNS server.
    pub coredns: PathBuf,
}

/// Builds what the cache does not hold yet. A first build takes several minutes.
pub fn build(cache: &Path) -> Result<Binaries> {
    Ok(Binaries {
        kubernetes: kubernetes()?.build(cache)?,
        coredns: coredns().build(cache)?,
    })
}

/// Whether the cache holds what [`build`] makes.
pub fn is_built(cache: &Path) -> Result<bool> {
    Ok(kubernetes()?.executable(cache)?.exists() && coredns().executable(cache)?.exists())
}

/// Builds a tool unless the cache holds it, and returns its path.
pub fn build_tool(cache: &Path, tool: Tool) -> Result<PathBuf> {
    let module = Module {
        folder: tool.folder(),
        package: tool.package(),
        name: tool.name(),
        link_flags: String::new(),
    };
    module.build(cache)
}

fn kubernetes() -> Result<Module> {
    let folder = modules().join("kubernetes");
    let version = kubernetes_version(&folder)?;
    let minor = version.split('.').nth(1).unwrap_or_default();
    // Without these the node reports v0.0.0.
    let link_flags = ["gitVersion", "gitMajor", "gitMinor"]
        .into_iter()
        .zip([version.as_str(), "1", minor])
        .map(|(name, value)| format!("-X k8s.io/component-base/version.{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ");
    Ok(Module {
        folder,
        package: ".",
        name: "kubernetes",
        link_flags,
    })
}

fn coredns() -> Module {
    Module {
        folder: modules().join("coredns"),
        package: "github.com/coredns/coredns",
        name: "coredns",
        link_flags: String::new(),
    }
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
    fn version_is_taken_from_the_module() {
        let version = kubernetes_version(&modules().join("kubernetes")).unwrap();
        assert!(version.starts_with("v1."), "{version}");
    }
}
