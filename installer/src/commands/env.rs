//! `silica env`: what a client needs, with the API key, on request.

use std::path::PathBuf;

use clap::Args;
use silica_api::names;

use crate::{
    env_block::{self, EnvBlock},
    error::Error,
    exit::Exit,
    facts,
    run::Context,
    secrets::{client_roots, entry, owned_text},
};

/// Flags of `silica env`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  eval \"$(silica env --ca-file silica-ca.crt)\"
  silica env > .env && chmod 600 .env")]
pub struct EnvArgs {
    /// Write the CA certificate to this file and make clients trust it
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Prints the environment block.
pub async fn run(context: &Context, args: &EnvArgs) -> Result<Exit, Error> {
    let cluster = context.cluster().await?;
    let inventory = facts::read_installed(&cluster).await?;
    let existing = facts::read_existing(&cluster).await?;
    let api_key = owned_text(entry(&existing, names::ADMIN_KEY_SECRET, names::ADMIN_KEY_KEY))
        .ok_or(Error::NotInstalled)?;
    let roots = client_roots(&existing);
    if let (Some(path), Some(pem)) = (&args.ca_file, roots) {
        env_block::write_file(path, pem, env_block::PUBLIC)?;
    }
    let block = EnvBlock {
        domain: inventory.domains.first().cloned().unwrap_or_default(),
        api_key,
        ca_file: args.ca_file.clone().filter(|_| roots.is_some()),
    };
    context.printer.result(block.render())?;
    if args.ca_file.is_some() && roots.is_none() {
        context
            .printer
            .info("clients accept the served certificate by themselves: no CA file is written");
    }
    if args.ca_file.is_none() && roots.is_some() {
        context
            .printer
            .info("clients must trust the CA of this installation: add --ca-file FILE");
    }
    Ok(Exit::Success)
}
