//! `cargo xtask cluster`: the local Kubernetes by itself.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use silica_cluster::{Cluster, Options, Status, forward, images};
use silica_provision::{build, progress};
use xtask::cli::cluster::{Action, Arguments};

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let cluster = Cluster::of_checkout()?;
    match arguments.action {
        Action::Up => up(&cluster).await.map(drop),
        Action::Down => down(&cluster),
        Action::Status => status(&cluster),
        Action::Import { archive } => cluster.import(&archive),
        Action::Kubectl { arguments } => kubectl(&cluster, &arguments),
        Action::Forward => forward::run().await,
    }
}

/// Starts the cluster with this program as its forwarder. True when it did not run before.
pub(crate) async fn up(cluster: &Cluster) -> Result<bool> {
    let began = Instant::now();
    let program = std::env::current_exe().context("failed to find this program")?;
    let started = cluster
        .up(&Options {
            forwarder: vec![program, "cluster".into(), "forward".into()],
        })
        .await?;
    // Tests that were cut off may have left it stopped.
    cluster.resume_scheduling()?;
    let layout = cluster.layout();
    let how = if started { "started" } else { "runs already" };
    println!("cluster {how} ({})", progress::seconds(began.elapsed()));
    println!("  kubeconfig  {}", layout.kubeconfig.display());
    println!("  containerd  {}", layout.containerd_socket().display());
    Ok(started)
}

/// Removes the cluster.
pub(crate) fn down(cluster: &Cluster) -> Result<()> {
    let began = Instant::now();
    let what = if cluster.down()? {
        "cluster removed"
    } else {
        "there is no cluster"
    };
    println!("{what} ({})", progress::seconds(began.elapsed()));
    Ok(())
}

fn status(cluster: &Cluster) -> Result<()> {
    let (alive, ended) = match cluster.status()? {
        Status::Absent => anyhow::bail!("there is no cluster: start it with `cargo xtask cluster up`"),
        Status::Running(alive) => (alive, Vec::new()),
        Status::Broken { alive, ended } => (alive, ended),
    };
    // Unlike println!, this survives a reader that has seen enough.
    let mut out = std::io::stdout().lock();
    for (state, processes) in [("runs", &alive), ("has ended", &ended)] {
        for process in processes {
            writeln!(out, "{:<26} {:>8}  {state}", process.name, process.pid)?;
        }
    }
    if !ended.is_empty() || alive.is_empty() {
        anyhow::bail!("the cluster is broken: `cargo xtask cluster up` makes a new one");
    }
    for image in images::list(cluster.layout())? {
        writeln!(out, "image {image}")?;
    }
    Ok(())
}

fn kubectl(cluster: &Cluster, arguments: &[String]) -> Result<()> {
    let binaries = build::build(&cluster.layout().cache)?;
    let mut command = Command::new(binaries.kubernetes);
    command
        .arg("kubectl")
        .args(arguments)
        .env("KUBECONFIG", &cluster.layout().kubeconfig);
    // Replaces this process; returns only when that fails.
    Err(command.exec()).context("failed to run kubectl")
}
