//! Suite `delivery`: the executables reach the node in ConfigMaps, without a registry and without
//! an image of ours; then as images that its containerd pulls from a registry. A sandbox runs a
//! command each time.

pub(crate) mod registry;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use silica_api::names;
use silica_cluster::Cluster;
use silica_provision::progress;

use crate::command;
use crate::test::bare::kubectl;
use crate::up::{self, Delivery};

/// How long a pool may take to have a member of the new kind.
const REPLACEMENT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(1);

/// Changes the installation to the other ways and back. `silica install` ends only when a sandbox
/// of the new kind has run a command.
pub(crate) fn run(cluster: &Cluster, silica: &Path) -> Result<String> {
    let proven = by_config_maps(cluster, silica).and_then(|borrowed| {
        let pulled = by_registry(cluster, silica)?;
        Ok(format!("everything ran on {borrowed}, then on {pulled}"))
    });
    let step = Instant::now();
    up::install(cluster, silica, Delivery::Node, &[])?;
    progress::done("installed with --images node", step);
    let closing = proven?;
    let left = config_maps(cluster)?;
    ensure!(left.is_empty(), "ConfigMaps are left: {}", left.join(", "));
    Ok(closing)
}

fn by_config_maps(cluster: &Cluster, silica: &Path) -> Result<String> {
    let step = Instant::now();
    up::install(cluster, silica, Delivery::ConfigMap, &[])?;
    progress::done("installed with --images configmap", step);
    let borrowed = installed_image(cluster)?;
    ensure!(
        !borrowed.contains(names::MANAGER_IMAGE),
        "not borrowed: {borrowed}"
    );
    ensure!(
        !config_maps(cluster)?.is_empty(),
        "no ConfigMap carries an executable"
    );
    wait_injected(cluster, &borrowed)?;
    Ok(borrowed)
}

/// Pushes from the node, as the registry is there, and has it pull what it never had.
fn by_registry(cluster: &Cluster, silica: &Path) -> Result<String> {
    let server = registry::Server::start(cluster)?;
    let step = Instant::now();
    command::run(&mut registry::install_command(cluster, silica)?)?;
    progress::done("installed with --images registry", step);
    let pushed = server.repositories()?;
    ensure!(
        pushed == [names::MANAGER_IMAGE, names::RUNTIME_IMAGE],
        "the registry has {pushed:?}"
    );
    let pulled = installed_image(cluster)?;
    ensure!(
        pulled.starts_with(registry::PREFIX) && pulled.contains("@sha256:"),
        "not pulled by its digest: {pulled}"
    );
    wait_injected(cluster, registry::PREFIX)?;
    Ok(registry::PREFIX.to_owned())
}

/// The one image that all containers of the installation run on.
fn installed_image(cluster: &Cluster) -> Result<String> {
    let deployments = command::read(kubectl(cluster)?.args([
        "get",
        "deployments",
        "--namespace=sandbox-system",
        "--output=jsonpath={.items[*].spec.template.spec['initContainers','containers'][*].image}",
    ]))?;
    let mut images: Vec<&str> = deployments.split_whitespace().collect();
    let first = *images.first().context("failed to find the images")?;
    images.retain(|image| *image != first);
    ensure!(images.is_empty(), "several images: {deployments}");
    Ok(first.to_owned())
}

/// Waits until a sandbox has got its runtime from an image that begins so: pools replace their
/// members a few at a time.
fn wait_injected(cluster: &Cluster, image: &str) -> Result<()> {
    let deadline = Instant::now() + REPLACEMENT;
    while !injected_images(cluster)?
        .split_whitespace()
        .any(|injected| injected.starts_with(image))
    {
        ensure!(
            Instant::now() < deadline,
            "no sandbox got its runtime from {image}"
        );
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Images of the init containers that bring the runtime into running sandboxes.
fn injected_images(cluster: &Cluster) -> Result<String> {
    command::read(kubectl(cluster)?.args([
        "get",
        "pods",
        "--namespace=default",
        "--selector=agents.kruise.io/created-by=sandbox",
        "--field-selector=status.phase=Running",
        "--output=jsonpath={.items[*].spec.initContainers[?(@.name=='runtime')].image}",
    ]))
}

/// ConfigMaps of the installation that carry executables.
fn config_maps(cluster: &Cluster) -> Result<Vec<String>> {
    let namespace = "--namespace=sandbox-system";
    let names = command::read(kubectl(cluster)?.args(["get", "configmaps", namespace, "--output=name"]))?;
    Ok(names
        .lines()
        .filter(|name| name.contains("silica-loader") || name.contains("sandbox-runtime-"))
        .map(str::to_owned)
        .collect())
}
