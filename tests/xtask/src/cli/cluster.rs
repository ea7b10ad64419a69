//! `cargo xtask cluster`.

use std::path::PathBuf;

use clap::Subcommand;

/// Arguments of `cluster`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask cluster up
  cargo xtask cluster kubectl get pods -A
  KUBECONFIG=target/silica/kubeconfig kubectl get nodes
  cargo xtask cluster down")]
pub struct Arguments {
    /// What to do with the cluster.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub enum Action {
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
