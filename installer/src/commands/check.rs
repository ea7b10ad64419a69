//! `silica check`: the preflight of an installation alone.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{context::Context, error::Error, exit::Exit, report::Output},
    pipeline::Examined,
    settings::InstallArgs,
};

/// Flags of `silica check`: those of `silica install`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica check --domain sandbox.example.com
  silica check --values silica.yaml -o short
  silica check --values silica.yaml -o json | jq '.checks[] | select(.verdict == \"fail\")'")]
pub struct CheckArgs {
    #[command(flatten)]
    pub install: InstallArgs,
}

/// Shows every check; exit code 79 when one of them would stop the installation.
pub async fn run(context: &Context, args: &CheckArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let cluster = context.cluster().await?;
    let examined = Examined::read(context, &cluster, &args.install).await?;
    let report = examined.report();
    printer.info(report.summary());
    if printer.output() == Output::Json {
        printer.json(&json!({"fine": report.is_fine(), "checks": report.checks}))?;
    }
    Ok(if report.is_fine() {
        Exit::Success
    } else {
        Exit::Findings
    })
}
