//! `silica config`: the parameters, their values and where those come from.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    cli::{
        context::Context,
        error::Error,
        exit::Exit,
        report::{Output, ReportForm},
    },
    commands::read_installed,
    pipeline::read_resolved,
    settings::{InstallArgs, Layer, Said, parameter},
};

/// Flags of `silica config`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica config explain --values silica.yaml
  silica config show > silica.yaml
  silica config schema > config.schema.json")]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do about parameters.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show each value and where it comes from: default, cluster, file, variable or flag
    Explain(Box<ExplainArgs>),
    /// Print the values that are kept in the cluster, as a settings file
    #[command(after_help = "\
Examples:
  silica config show > silica.yaml
  silica render --values silica.yaml")]
    Show,
    /// Print the JSON schema of the settings file
    #[command(after_help = "\
Examples:
  silica config schema > config.schema.json
  # first line of silica.yaml, for editors:
  # yaml-language-server: $schema=config.schema.json")]
    Schema,
    /// Print all parameters as Markdown
    #[command(after_help = "\
Examples:
  silica config reference | less")]
    Reference,
}

/// Flags of `silica config explain`: those of `silica install`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica config explain
  silica config explain --values silica.yaml --manager-replicas 5
  silica config explain --offline -o json")]
pub struct ExplainArgs {
    #[command(flatten)]
    pub install: InstallArgs,
    /// Leave out what is kept in the cluster
    #[arg(long)]
    pub offline: bool,
}

impl ConfigArgs {
    /// The form of the results.
    pub fn output(&self) -> ReportForm {
        match &self.command {
            ConfigCommand::Explain(args) => args.install.output,
            ConfigCommand::Show | ConfigCommand::Schema | ConfigCommand::Reference => ReportForm::Text,
        }
    }
}

/// Runs one of the commands.
pub async fn run(context: &Context, args: &ConfigArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    match &args.command {
        ConfigCommand::Schema => printer.json(&parameter::schema())?,
        ConfigCommand::Reference => printer.result(parameter::reference())?,
        ConfigCommand::Show => {
            let cluster = context.cluster().await?;
            let values = read_installed(&cluster).await?.values;
            printer.result(serde_saphyr::to_string(&Value::Object(values)).map_err(Error::Values)?)?;
        }
        ConfigCommand::Explain(args) => {
            let said = Said::read(&args.install)?;
            let resolved = if args.offline {
                said.over(Layer::new())
            } else {
                read_resolved(context, &context.cluster().await?, &args.install, &said)
                    .await?
                    .resolved
            };
            match printer.output() {
                Output::Text => {
                    let all = args.install.output != ReportForm::Short;
                    printer.result(resolved.describe(all))?;
                }
                Output::Json => printer.json(&resolved.to_json())?,
            }
        }
    }
    Ok(Exit::Success)
}
