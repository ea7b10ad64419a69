//! `cargo xtask up`: from nothing to a sandbox that has run code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use silica_cluster::Cluster;
use silica_cluster::layout::LOCAL_DOMAIN;
use silica_provision::{packages, progress};
use tokio::task::JoinHandle;
use xtask::cli::up::Arguments;

use crate::build::Profile;
use crate::images::{self, Name};
use crate::{cluster, command, environment, python, test, workspace};

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let began = Instant::now();
    if let Some(context) = &arguments.context {
        remote(context, &arguments.install)?;
    } else {
        let cluster = Cluster::of_checkout()?;
        local(&cluster, Profile::Local, &arguments.install).await?;
        // From now on it is the user's, also when tests have left it running.
        test::disown()?;
        run_example(&cluster)?;
    }
    println!("everything is up ({})", progress::seconds(began.elapsed()));
    println!("  source {}", environment::file().display());
    Ok(())
}

/// Installs into a cluster of the user's. Templates need images that its nodes can pull, so
/// they come only when the user names some.
fn remote(context: &str, more: &[String]) -> Result<()> {
    let silica = Profile::Release.build()?;
    command::run(
        Command::new(&silica)
            .args(["install", "--context", context, "--yes"])
            .args(["--env-file".as_ref(), environment::file().as_os_str()])
            .args(["--ca-file".as_ref(), environment::ca_file().as_os_str()])
            .args(more),
    )
}

/// Brings the local cluster and the installation up. True when the cluster was started.
pub(crate) async fn local(cluster: &Cluster, profile: Profile, more: &[String]) -> Result<bool> {
    // Compiling and downloading Debian packages hardly disturb each other.
    let building = tokio::task::spawn_blocking(move || profile.build());
    let images = make_images(cluster);
    let started = cluster::up(cluster).await?;
    let archives = images.await.context("failed to make the images")??;
    images::import_missing(cluster, &archives)?;
    let silica = building.await.context("failed to build")??;
    let step = Instant::now();
    install(cluster, &silica, Delivery::Node, more)?;
    progress::done("installed", step);
    Ok(started)
}

/// Makes the images beside other work.
pub(crate) fn make_images(cluster: &Cluster) -> JoinHandle<Result<Vec<images::Archive>>> {
    let cluster = cluster.clone();
    tokio::task::spawn_blocking(move || {
        packages::install_missing()?;
        images::make_all(&cluster)
    })
}

/// How the executables reach the local node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    /// Imported into its containerd.
    Node,
    /// In ConfigMaps.
    ConfigMap,
    /// Pulled from this place in a registry without TLS.
    Registry(&'static str),
}

/// The ways into the installation on the local cluster.
pub(crate) const LOCAL_WAYS: &[&str] = &[
    "--expose",
    "ingress,direct",
    "--service-type",
    "NodePort",
    "--node-port-https",
    "30443",
    "--node-port-http",
    "30788",
];
/// The forwarder stands in front of the node ports.
const FORWARDER: &[&str] = &["--address", "127.0.0.1"];

/// Installs into the local cluster and completes the file for clients.
pub(crate) fn install(cluster: &Cluster, silica: &Path, delivery: Delivery, more: &[String]) -> Result<()> {
    let mut install = install_command(cluster, silica, delivery, LOCAL_WAYS)?;
    command::run(install.args(FORWARDER).args(more))?;
    environment::complete(&cluster.layout().kubeconfig)
}

/// The command that installs into the local cluster with these ways in.
pub(crate) fn install_command(
    cluster: &Cluster,
    silica: &Path,
    delivery: Delivery,
    ways: &[&str],
) -> Result<Command> {
    let layout = cluster.layout();
    let mut install = Command::new(silica);
    install
        .arg("install")
        .arg("--kubeconfig")
        .arg(&layout.kubeconfig)
        .args(["--domain", LOCAL_DOMAIN])
        .args(ways)
        .args([
            "--templates",
            "--template-image-base",
            &images::reference(Name::Base)?,
        ])
        .args([
            "--template-image-code-interpreter",
            &images::reference(Name::CodeInterpreter)?,
        ])
        .arg("--env-file")
        .arg(environment::file())
        .arg("--ca-file")
        .arg(environment::ca_file())
        // What a former run has chosen must not decide about this one.
        .args(["--reset-values", "--yes"]);
    match delivery {
        Delivery::Node => install
            .args(["--images", "node", "--containerd-address"])
            .arg(layout.containerd_socket()),
        Delivery::ConfigMap => install.args(["--images", "configmap"]),
        Delivery::Registry(prefix) => install.args([
            "--images",
            "registry",
            "--registry",
            prefix,
            "--registry-plain-http",
        ]),
    };
    // Settings of other installations must not leak into this one.
    let parameters = std::env::vars_os().map(|(name, _)| name);
    let parameters = parameters.filter(|name| name.to_string_lossy().starts_with("SILICA_"));
    let others = ["KUBECONFIG", "CONTAINERD_ADDRESS", "SSL_CERT_FILE"].map(OsString::from);
    for name in parameters.chain(others) {
        install.env_remove(name);
    }
    Ok(install)
}

/// An agent's first program, with the newest SDK.
pub(crate) fn run_example(cluster: &Cluster) -> Result<()> {
    let sdk = workspace::root().join("tests/sdk");
    let example: PathBuf = sdk.join("examples/hello.py");
    ensure!(example.exists(), "failed to find {}", example.display());
    let python = python::environment(&cluster.layout().cache, &sdk.join("current/requirements.txt"))?;
    let step = Instant::now();
    command::run(Command::new(python).arg(example).envs(environment::read()?))?;
    progress::done("example has run in a sandbox", step);
    Ok(())
}

#[cfg(test)]
mod tests {
    use silica_cluster::forward;

    use super::*;

    #[test]
    fn the_forwarder_knows_the_node_ports() {
        for (_, port) in forward::FORWARDED {
            assert!(LOCAL_WAYS.contains(&port.to_string().as_str()), "{port}");
        }
    }
}
