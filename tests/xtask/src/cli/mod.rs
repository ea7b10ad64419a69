//! Tasks and their arguments.

pub mod bench;
pub mod build;
pub mod cluster;
pub mod fuzz;
pub mod suites;
pub mod test;
pub mod up;

use clap::{Parser, Subcommand};

/// Build, run and test Silica on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// A task.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Build, start the local cluster, install, and run an example in a sandbox
    Up(up::Arguments),
    /// Remove the local cluster and everything in it; the caches stay
    #[command(after_help = "\
Example:
  cargo xtask down")]
    Down,
    /// Run all tests, or the named suites
    Test(test::Arguments),
    /// Time Silica on the local cluster
    Bench(bench::Arguments),
    /// Build the static release executables into target/silica/bin
    Build(build::Arguments),
    /// Start, inspect and remove the local single-node Kubernetes
    Cluster(cluster::Arguments),
    /// Make the images for tests and import them into the local cluster when it runs
    #[command(after_help = "\
Example:
  cargo xtask images

The archives stay in ${SILICA_CACHE:-~/.cache/silica}/images. A first run downloads Debian
and Python packages and takes about three minutes.")]
    Images,
    /// Refresh manifests/yaml from the typed objects
    #[command(after_help = "\
Examples:
  cargo xtask generate
  cargo xtask generate --check")]
    Generate {
        /// Change nothing; fail when a file is stale.
        #[arg(long)]
        check: bool,
    },
    /// Check the rules that the compiler does not know: dependencies, structure, documentation
    #[command(after_help = "\
Example:
  cargo xtask tidy

The rules are in tests/dev/src/tidy/rules.rs and deny.toml.")]
    Tidy,
    /// Fuzz the readers of certificates and keys for a limited time
    Fuzz(fuzz::Arguments),
}
