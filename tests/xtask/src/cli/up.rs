//! `cargo xtask up`.

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask up
  source target/silica/env && python my_agent.py
  cargo xtask up --context my-cluster -- --domain sandbox.example.com --templates --template-image-base debian:12")]
pub struct Arguments {
    /// Install into this context of your kubeconfig instead of a local cluster.
    #[arg(long)]
    pub context: Option<String>,
    /// More arguments for `silica install`.
    #[arg(last = true)]
    pub install: Vec<String>,
}
