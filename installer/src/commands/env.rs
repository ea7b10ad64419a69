//! `silica env`: what a client needs, with the API key, on request.

use std::path::PathBuf;

use clap::Args;
use silica_api::names;

use crate::{
    certificates::env_block::EnvBlock,
    cli::{context::Context, error::Error, exit::Exit},
    commands::certs::export,
    commands::read_installed,
    facts,
    secrets::{client_roots, entry, owned_text},
};

/// Flags of `silica env`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  eval \"$(silica env --ca-file silica-ca.crt)\"
  silica env > .env && chmod 600 .env")]
pub struct EnvArgs {
    /// Write the CA certificate to this file, a bundle with the CAs of this system beside it, and make clients trust it
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Prints the environment block.
pub async fn run(context: &Context, args: &EnvArgs) -> Result<Exit, Error> {
    let cluster = context.cluster().await?;
    let inventory = read_installed(&cluster).await?;
    let existing = facts::read_existing(&cluster).await?;
    let api_key = owned_text(entry(&existing, names::ADMIN_KEY_SECRET, names::ADMIN_KEY_KEY))
        .ok_or(Error::NotInstalled)?;
    let bundle = client_roots(&existing);
    let roots = match (&args.ca_file, bundle) {
        (Some(path), Some(pem)) => Some(export::write(context, path, pem)?),
        _ => None,
    };
    let block = EnvBlock {
        domain: inventory.domains.first().cloned().unwrap_or_default(),
        api_key,
        roots,
    };
    context.printer.result(block.render())?;
    if args.ca_file.is_some() && bundle.is_none() {
        context
            .printer
            .info("clients accept the served certificate by themselves: no CA file is written");
    }
    if args.ca_file.is_none() && bundle.is_some() {
        context
            .printer
            .info("clients must trust the CA of this installation: add --ca-file FILE");
    }
    Ok(Exit::Success)
}
