//! Runs the SDK suites against the installation on the local cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use silica_cluster::Cluster;
use silica_cluster::layout::NODE_ADDRESS;
use silica_oci::Digest;

use crate::images::{self, Name};
use crate::{command, environment, python, workspace};
use xtask::cli::suites::Suite;

/// The manager's name inside the cluster, where plain http is served on port 80. The host
/// reaches services too, through the node.
const IN_CLUSTER_NAME: &str = "sandbox-manager.sandbox-system.svc.cluster.local";
/// The forwarder's address for plain http.
const SINGLE_HOST: &str = "http://127.0.0.1:7788";
/// Names an image on the node that is not the one of the template `base`.
const OTHER_IMAGE: &str = "SILICA_TEST_OTHER_IMAGE";

/// Runs one suite and returns its runner's closing line.
pub(crate) fn run(cluster: &Cluster, suite: Suite) -> Result<String> {
    let folder = workspace::root().join("tests/sdk").join(suite.name());
    let lines = match suite {
        Suite::Current => {
            let other = images::reference(Name::CodeInterpreter)?;
            pytest(cluster, &folder, &Resolver::Own, &[(OTHER_IMAGE, &other)])?
        }
        Suite::Pinned => pytest(cluster, &folder, &Resolver::Cluster, &[])?,
        Suite::Seed => pytest(
            cluster,
            &folder,
            &Resolver::Cluster,
            &[("E2B_DOMAIN", IN_CLUSTER_NAME)],
        )?,
        Suite::Javascript => javascript(cluster, &folder)?,
        _ => bail!("failed to run {}: it needs no cluster", suite.name()),
    };
    let closing = match suite {
        Suite::Javascript => node_summary(&lines),
        _ => lines.last().map(|line| line.trim_matches(['=', ' ']).to_owned()),
    };
    Ok(closing.unwrap_or_else(|| "no output".to_owned()))
}

/// Who resolves names for a suite.
enum Resolver {
    /// The machine's, and the SDK itself for `*.localhost`.
    Own,
    /// The cluster's DNS server, which knows the local domain and the services.
    Cluster,
}

fn pytest(
    cluster: &Cluster,
    folder: &Path,
    resolver: &Resolver,
    variables: &[(&str, &str)],
) -> Result<Vec<String>> {
    let python = python::environment(&cluster.layout().cache, &folder.join("requirements.txt"))?;
    let mut command = match resolver {
        Resolver::Own => Command::new(python),
        Resolver::Cluster => with_cluster_dns(&python)?,
    };
    command
        .args(["-m", "pytest", "-p", "no:cacheprovider"])
        .current_dir(folder)
        .envs(environment::read()?)
        .envs(variables.iter().copied())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command::run_and_keep(&mut command)
}

/// Starts a program that sees another `/etc/resolv.conf`; the machine's own stays as it is.
pub(super) fn with_cluster_dns(program: &Path) -> Result<Command> {
    let file = workspace::target().join("resolv.conf");
    fs::write(&file, format!("nameserver {NODE_ADDRESS}\n"))
        .with_context(|| format!("failed to write {}", file.display()))?;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation=private", "sh", "-ec"])
        .arg("mount -n --bind \"$1\" /etc/resolv.conf; shift; exec \"$@\"")
        .arg("suite")
        .arg(file)
        .arg(program);
    Ok(command)
}

/// Copies the programs of a suite next to its packages, because Node looks for them in the folders
/// above a file, and returns that place.
pub(super) fn javascript_place(cluster: &Cluster, programs: &Path) -> Result<PathBuf> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("failed to read {}", path.display()));
    let manifest = workspace::root().join("tests/sdk/javascript/package.json");
    let key = Digest::of(&read(&manifest)?).hex()[..12].to_owned();
    let place = cluster.layout().cache.join("node").join(key);
    fs::create_dir_all(&place).with_context(|| format!("failed to create {}", place.display()))?;
    let copy = |from: &Path| {
        let name = from.file_name().unwrap_or_default();
        fs::copy(from, place.join(name)).with_context(|| format!("failed to copy {}", from.display()))
    };
    copy(&manifest)?;
    if !place.join("node_modules/.complete").exists() {
        let words = [
            "install",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--loglevel=error",
        ];
        command::run(Command::new("npm").args(words).current_dir(&place))?;
        fs::write(place.join("node_modules/.complete"), "")
            .context("failed to note the installed packages")?;
    }
    let tests: Vec<PathBuf> = fs::read_dir(programs)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<_>>()
        })
        .with_context(|| format!("failed to list {}", programs.display()))?;
    for test in tests
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "mjs"))
    {
        copy(test)?;
    }
    Ok(place)
}

fn javascript(cluster: &Cluster, folder: &Path) -> Result<Vec<String>> {
    let place = javascript_place(cluster, folder)?;
    let variables = [("E2B_API_URL", SINGLE_HOST), ("E2B_SANDBOX_URL", SINGLE_HOST)];
    command::run_and_keep(
        Command::new("node")
            .args(["--test", "--test-reporter=spec", "single-host.test.mjs"])
            .current_dir(&place)
            .envs(environment::read()?)
            .envs(variables),
    )
}

/// The counts that Node's test runner prints at the end.
fn node_summary(lines: &[String]) -> Option<String> {
    let count = |name: &str| {
        let found = lines
            .iter()
            .rev()
            .find_map(|line| line.trim_start_matches("ℹ ").strip_prefix(name));
        found.map(|count| format!("{name}{count}"))
    };
    Some(format!(
        "{}, {}, {}",
        count("pass ")?,
        count("fail ")?,
        count("skipped ")?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_counts_become_one_line() {
        let lines = [
            "ℹ tests 9",
            "ℹ pass 8",
            "ℹ fail 0",
            "ℹ cancelled 0",
            "ℹ skipped 1",
        ]
        .map(str::to_owned);
        assert_eq!(node_summary(&lines).unwrap(), "pass 8, fail 0, skipped 1");
    }
}
