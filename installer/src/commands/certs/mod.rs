//! `silica certs`: makes certificates as files, exports the CA, shows
//! certificates, orders official ones and takes those of others into service.

pub mod error;
pub mod export;
pub mod generate;
pub mod import;
pub mod inspect;
pub mod issue;
pub mod password;
pub mod trust;

use std::time::Duration as StdDuration;

use clap::{Args, Subcommand};

use crate::cli::{context::Context, error::Error, exit::Exit, report::Output};

/// Flags of `silica certs`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica certs generate -d sandbox.example.com -o certs -D 365
  silica certs export -o certs
  silica certs inspect api.sandbox.example.com
  silica certs import --cert fullchain.pem --key privkey.pem
  silica certs issue --cluster --acme-directory letsencrypt --agree-tos --dns manual")]
pub struct CertsArgs {
    #[command(subcommand)]
    pub command: CertsCommand,
}

/// What to do with certificates.
#[derive(Clone, Debug, Subcommand)]
pub enum CertsCommand {
    /// Write fullchain.pem, privkey.pem, ca-fullchain.pem and ca-privkey.pem
    Generate(generate::GenerateArgs),
    /// Print the CA certificates that clients must trust, or write files with them
    Export(export::ExportArgs),
    /// Show what certificates say
    Inspect(inspect::InspectArgs),
    /// Make this machine trust the CA, or tell how
    Trust(trust::TrustArgs),
    /// Serve a certificate that somebody else issued
    Import(import::ImportArgs),
    /// Order an official certificate by ACME, for example of Let's Encrypt
    Issue(Box<issue::IssueArgs>),
}

impl CertsArgs {
    /// What the command may take beyond the time limit: records that a person
    /// creates take as long as they take.
    pub fn extra_time(&self) -> StdDuration {
        match &self.command {
            CertsCommand::Issue(args) => args.extra_time(),
            _ => StdDuration::ZERO,
        }
    }

    /// The form in which the command gives its results.
    pub fn output(&self) -> Output {
        match &self.command {
            CertsCommand::Inspect(args) => args.format.output,
            CertsCommand::Import(args) => args.format.output,
            CertsCommand::Trust(args) => args.format.output,
            CertsCommand::Generate(_) | CertsCommand::Export(_) | CertsCommand::Issue(_) => Output::Text,
        }
    }
}

/// Runs the chosen command.
pub async fn run(context: &Context, args: &CertsArgs) -> Result<Exit, Error> {
    match &args.command {
        CertsCommand::Generate(args) => generate::run(context, args),
        CertsCommand::Export(args) => export::run(context, args).await,
        CertsCommand::Inspect(args) => inspect::run(context, args).await,
        CertsCommand::Trust(args) => trust::run(context, args).await,
        CertsCommand::Import(args) => import::run(context, args).await,
        CertsCommand::Issue(args) => issue::run(context, args).await,
    }
}
