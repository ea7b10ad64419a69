//! The command line: global flags and the list of commands.
//!
//! Each command's own flags live in its module under `commands/`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    cli::report::Output,
    commands::{
        certs, check as check_command, completions, config, doctor, env, images, man, rbac, render,
        rotate_certs, status, support, uninstall, verify_dns, version,
    },
    settings::InstallArgs,
};

pub mod check;
pub mod context;
pub mod error;
pub mod exit;
pub(crate) mod flags;
pub mod report;
pub mod signal;

/// Turns any Kubernetes cluster into an E2B-compatible sandbox cloud.
#[derive(Debug, Parser)]
#[command(name = "silica", version, propagate_version = true, max_term_width = 100, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  silica check --domain sandbox.example.com            # is the cluster fit for it?
  silica install --domain sandbox.example.com          # the same command upgrades
  silica install --dry-run                             # what would change
  silica status
  silica verify-dns
  eval \"$(silica env --ca-file silica-ca.crt)\"         # then run an agent
  silica doctor 'invalid peer certificate: UnknownIssuer'
  silica rotate-certs
  silica uninstall";

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 something would change (install --dry-run --exit-code), 64 wrong command line, 65 bad setting, 69 cluster unreachable, \
75 another command is at work, 77 right missing, 79 check has findings, 124 time limit reached, 130 interrupted and 143 terminated (run again to resume)";

/// Flags that every command takes.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Kubeconfig file; `KUBECONFIG` or ~/.kube/config when absent
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig; the current one when absent
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Act as this user, if the kubeconfig's may impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// Act as a member of this group, too; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP", requires = "as_user")]
    pub as_groups: Vec<String>,
    /// Do not ask before changing the cluster
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Time limit for the whole command, for example 90s, 5m or 1h30m
    #[arg(long, global = true, value_name = "DURATION", default_value = "5m", value_parser = flags::duration)]
    pub timeout: Duration,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install or upgrade; a second run changes nothing
    Install(Box<InstallArgs>),
    /// Check whether the cluster is fit for the installation; writes nothing
    Check(Box<check_command::CheckArgs>),
    /// Remove what `install` made
    Uninstall(uninstall::UninstallArgs),
    /// Show what is installed and whether it works
    Status(status::StatusArgs),
    /// Explain an error, or find out what is wrong with the installation
    Doctor(doctor::DoctorArgs),
    /// Write an archive for support: state, objects and logs, without secrets
    Support(support::SupportArgs),
    /// Show the parameters, their values and where those come from
    Config(config::ConfigArgs),
    /// Print what `install` would apply
    Render(Box<render::RenderArgs>),
    /// Replace the served certificate without a failed request
    RotateCerts(rotate_certs::RotateCertsArgs),
    /// Check DNS and print the records that are missing
    VerifyDns(verify_dns::VerifyDnsArgs),
    /// Make or export certificates
    Certs(certs::CertsArgs),
    /// Write the images that this command carries to a file
    Images(images::ImagesArgs),
    /// Print the rights that installing takes
    Rbac(rbac::RbacArgs),
    /// Print the environment for the E2B SDKs, with the API key
    Env(env::EnvArgs),
    /// Print shell completions
    Completions(completions::CompletionsArgs),
    /// Print manual pages
    Man(man::ManArgs),
    /// Print versions
    Version(version::VersionArgs),
}

impl Command {
    /// What the command may take beyond the time limit.
    pub fn extra_time(&self) -> Duration {
        match self {
            Self::Certs(args) => args.extra_time(),
            _ => Duration::ZERO,
        }
    }

    /// The form in which the command gives its results.
    pub fn output(&self) -> Output {
        match self {
            Self::Install(args) => args.output.into(),
            Self::Check(args) => args.install.output.into(),
            Self::Config(args) => args.output().into(),
            Self::Uninstall(args) => args.format.output,
            Self::Status(args) => args.format.output,
            Self::Doctor(args) => args.format.output,
            Self::Support(args) => args.format.output,
            Self::RotateCerts(args) => args.format.output,
            Self::VerifyDns(args) => args.format.output,
            Self::Version(args) => args.format.output,
            Self::Certs(args) => args.output(),
            Self::Render(_)
            | Self::Images(_)
            | Self::Rbac(_)
            | Self::Env(_)
            | Self::Completions(_)
            | Self::Man(_) => Output::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn walk(command: &clap::Command, path: &str) {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Examples:"), "`{path} --help` has no examples");
            for command in command.get_subcommands().filter(|one| one.get_name() != "help") {
                walk(command, &format!("{path} {}", command.get_name()));
            }
        }
        walk(&Cli::command(), "silica");
    }
}
