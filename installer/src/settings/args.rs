//! The flags of `silica install`, which every command that makes a plan takes too.

use std::path::PathBuf;

use clap::Args;

use super::{Flags, env};
use crate::cli::report::ReportForm;

const EXAMPLES: &str = "\
Examples:
  silica install --domain sandbox.example.com --ingress-class nginx
  silica install --domain sandbox.example.com --expose direct --service-type LoadBalancer
  silica install --domain sandbox.example.com --expose gateway --gateway-class envoy
  silica install --domain sandbox.example.com --expose direct --service-type HostPort --manager-replicas 1
  silica install --domain sandbox.example.com --registry registry.example.com/silica --create-pull-secret
  silica install --domain sandbox.example.com --images configmap
  silica install --values silica.yaml --dry-run --exit-code
  silica install --manager-replicas 5        # later: the other values stay as they are
  silica install --domain silica.localhost --expose direct --service-type NodePort --node-port-https 30443 --yes";

/// Flags of `silica install` and `silica render`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct InstallArgs {
    /// Settings file; `-` is standard input
    #[arg(long, short = 'f', value_name = "FILE", env = env::VALUES)]
    pub values: Option<PathBuf>,
    #[command(flatten)]
    pub flags: Flags,
    /// Start from the defaults instead of what an earlier run kept in the cluster
    #[arg(long)]
    pub reset_values: bool,

    /// File with the administrator's API key, `-` for standard input; generated when absent (the variable SILICA_ADMIN_KEY works too)
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub admin_key_file: Option<PathBuf>,
    /// Show the API key at the end
    #[arg(long, help_heading = "Access")]
    pub show_key: bool,
    /// Write the environment block for the SDKs to this file, readable by you only
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub env_file: Option<PathBuf>,
    /// Write the CA certificate to this file
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub ca_file: Option<PathBuf>,

    /// Socket of containerd, when it is not at a usual place
    #[arg(long, value_name = "SOCKET", env = env::CONTAINERD_ADDRESS, help_heading = "Images")]
    pub containerd_address: Option<PathBuf>,

    /// Show what would change and stop
    #[arg(long, help_heading = "Behaviour")]
    pub dry_run: bool,
    /// With --dry-run: end with 2 when something would change
    #[arg(long, requires = "dry_run", help_heading = "Behaviour")]
    pub exit_code: bool,
    /// Take over the namespace, definitions and objects that something else made; `uninstall` removes such objects
    #[arg(long, help_heading = "Behaviour")]
    pub adopt: bool,
    /// Overwrite fields that somebody else changed
    #[arg(long, help_heading = "Behaviour")]
    pub force_conflicts: bool,
    /// Only apply: neither wait for the pods nor verify anything
    #[arg(long, help_heading = "Behaviour")]
    pub no_wait: bool,
    /// Leave a new version that does not become ready, instead of putting the former one back
    #[arg(long, help_heading = "Behaviour")]
    pub no_rollback: bool,
    /// Do not run a sandbox at the end
    #[arg(long, help_heading = "Behaviour")]
    pub skip_verify: bool,
    /// Form of the results on standard output; `short` shows of the checks only those with problems
    #[arg(long, short, value_enum, default_value_t)]
    pub output: ReportForm,
}
