//! Suite `delivery`: the executables reach the node in ConfigMaps, without a registry and without
//! an image of ours, and a sandbox runs a command.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use silica_cluster::{Cluster, progress};

use crate::test::bare::kubectl;
use crate::up::{self, Delivery};
use crate::{command, workspace};

/// How long a pool may take to have a member of the new kind.
const REPLACEMENT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(1);

/// Changes the installation to ConfigMaps and back. `silica install` ends only when a sandbox of
/// the new kind has run a command.
pub(crate) fn run(cluster: &Cluster) -> Result<String> {
    let silica = workspace::target().join("bin/silica");
    let step = Instant::now();
    let carried = up::install(cluster, &silica, Delivery::ConfigMap, &[]).and_then(|()| {
        progress::done("installed with --images configmap", step);
        check_images(cluster)
    });
    let step = Instant::now();
    up::install(cluster, &silica, Delivery::Node, &[])?;
    progress::done("installed with --images node", step);
    let borrowed = carried?;
    let left = config_maps(cluster)?;
    ensure!(left.is_empty(), "ConfigMaps are left: {}", left.join(", "));
    Ok(format!("everything ran on {borrowed}"))
}

/// No container of ours runs on an image of ours; returns the one that they run on.
fn check_images(cluster: &Cluster) -> Result<String> {
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
    ensure!(!first.contains("sandbox-manager"), "not borrowed: {first}");
    ensure!(
        !config_maps(cluster)?.is_empty(),
        "no ConfigMap carries an executable"
    );
    // Pools replace their members a few at a time.
    let deadline = Instant::now() + REPLACEMENT;
    while !injected_images(cluster)?
        .split_whitespace()
        .any(|image| image == first)
    {
        ensure!(
            Instant::now() < deadline,
            "no sandbox got its runtime from ConfigMaps"
        );
        std::thread::sleep(PAUSE);
    }
    Ok(first.to_owned())
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
