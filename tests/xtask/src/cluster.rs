//! `cargo xtask cluster`: the local Kubernetes by itself.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Subcommand;
use silica_cluster::{Cluster, Options, Status, build, forward, images, progress};

/// Start, inspect and remove the local single-node Kubernetes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask cluster up
  cargo xtask cluster kubectl get pods -A
  KUBECONFIG=target/silica/kubeconfig kubectl get nodes
  cargo xtask cluster down")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start the cluster, or check the running one.
    Up,
    /// Remove every trace of the cluster; the caches stay.
    Down,
    /// Show the daemons and the images; exit code 1 unless all daemons run.
    Status,
    /// Import an OCI image archive into the node.
    Import {
        /// The archive (a tar file in the OCI image layout).
        archive: PathBuf,
    },
    /// Run the cluster's own kubectl.
    #[command(trailing_var_arg = true, disable_help_flag = true)]
    Kubectl {
        /// Arguments of kubectl.
        #[arg(allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Forward the host's ports 443 and 7788 to the node until killed.
    #[command(hide = true)]
    Forward,
}

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
    let binaries = build::build(cluster.layout())?;
    let mut command = Command::new(binaries.kubernetes);
    command
        .arg("kubectl")
        .args(arguments)
        .env("KUBECONFIG", &cluster.layout().kubeconfig);
    // Replaces this process; returns only when that fails.
    Err(command.exec()).context("failed to run kubectl")
}
