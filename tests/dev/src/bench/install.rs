//! The installation itself: how long `silica install` takes until a sandbox has run a command, by
//! each way that brings the executables to the node; a second run; and the look at DNS.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use silica_cluster::layout::LOCAL_DOMAIN;
use silica_cluster::{Cluster, images};

use super::milliseconds;
use crate::build::Profile;
use crate::test::bare::kubectl;
use crate::test::delivery::registry;
use crate::up::{self, Delivery};
use crate::{command, environment};

/// From the command to a sandbox that has run one, by the design.
const INSTALL_MAX: Duration = Duration::from_secs(15);
/// A second run that finds nothing to do.
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// `silica verify-dns` when all is well.
const DNS_MAX: Duration = Duration::from_secs(2);

/// Prints the table. The installation is put back as `cargo xtask up` makes it.
pub(super) fn run(cluster: &Cluster) -> Result<()> {
    let silica = Profile::Release.silica();
    let measured = measure(cluster, &silica);
    remove(cluster, &silica)?;
    up::install(cluster, &silica, Delivery::Node, &[])?;
    let mut rows = measured?;
    rows.push(look_at_dns(cluster, &silica)?);
    println!("{:<44} {:>10} {:>10}", "installation", "took", "limit");
    for (title, took, limit) in rows {
        println!(
            "{title:<44} {:>10} {:>10}",
            milliseconds(took),
            milliseconds(limit)
        );
    }
    Ok(())
}

fn measure(cluster: &Cluster, silica: &Path) -> Result<Vec<(String, Duration, Duration)>> {
    let mut rows = Vec::new();
    for (way, delivery) in [
        ("node", Delivery::Node),
        ("configmap", Delivery::ConfigMap),
        ("registry", Delivery::Registry(registry::PREFIX)),
    ] {
        remove(cluster, silica)?;
        let server = match delivery {
            Delivery::Registry(_) => Some(registry::Server::start(cluster)?),
            Delivery::Node | Delivery::ConfigMap => None,
        };
        let install = || match delivery {
            Delivery::Registry(_) => registry::install_command(cluster, silica),
            _ => up::install_command(cluster, silica, delivery, up::LOCAL_WAYS),
        };
        let (_, took) = time(&mut install()?)?;
        rows.push((
            format!("install until verified, images by {way}"),
            took,
            INSTALL_MAX,
        ));
        wait_for_pools(cluster)?;
        let (again, took) = time(&mut install()?)?;
        ensure!(again["writes"] == 0, "a second run wrote: {again}");
        rows.push((format!("again, 0 writes, images by {way}"), took, AGAIN_MAX));
        drop(server);
    }
    Ok(rows)
}

/// Of the installation that `cargo xtask up` makes: the others are not reached by their names.
fn look_at_dns(cluster: &Cluster, silica: &Path) -> Result<(String, Duration, Duration)> {
    let (_, took) = time(
        Command::new(silica)
            .args(["verify-dns", "--domain", LOCAL_DOMAIN, "--kubeconfig"])
            .arg(&cluster.layout().kubeconfig),
    )?;
    Ok(("verify-dns, all is well".to_owned(), took, DNS_MAX))
}

/// Until the templates' pools are full: the pods that they start are no part of a second run.
fn wait_for_pools(cluster: &Cluster) -> Result<()> {
    let listed = command::read(kubectl(cluster)?.args([
        "get",
        "sandboxsets",
        "--output=jsonpath={range .items[*]}{.metadata.name} {.spec.replicas}{\"\\n\"}{end}",
    ]))?;
    for (name, replicas) in listed.lines().filter_map(|line| line.split_once(' ')) {
        command::read(
            kubectl(cluster)?
                .args(["wait", "sandboxset", name, "--timeout=120s"])
                .arg(format!("--for=jsonpath={{.status.availableReplicas}}={replicas}")),
        )?;
    }
    Ok(())
}

/// Runs a command of `silica`; what it said, and how long it took as a whole process.
fn time(command: &mut Command) -> Result<(Value, Duration)> {
    let began = Instant::now();
    let text = command::read(command.args(["--output", "json"]))?;
    let took = began.elapsed();
    let value = serde_json::from_str(&text).with_context(|| format!("failed to read the result: {text}"))?;
    Ok((value, took))
}

/// Removes the installation, and from the node the images that it was delivered in.
fn remove(cluster: &Cluster, silica: &Path) -> Result<()> {
    let layout = cluster.layout();
    command::read(
        Command::new(silica)
            .args(["uninstall", "--yes", "--delete-sandboxes", "--delete-crds"])
            .arg("--kubeconfig")
            .arg(&layout.kubeconfig),
    )?;
    let delivered: Vec<String> = images::list(layout)?
        .into_iter()
        .filter(|reference| {
            [silica_api::names::MANAGER_IMAGE, silica_api::names::RUNTIME_IMAGE]
                .iter()
                .any(|name| reference.contains(name))
        })
        .collect();
    images::remove(layout, &delivered)?;
    // Its key is nobody's any more.
    let file = environment::file();
    if file.exists() {
        std::fs::remove_file(&file).with_context(|| format!("failed to remove {}", file.display()))?;
    }
    Ok(())
}
