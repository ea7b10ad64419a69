//! `silica version`: of the CLI, of what it carries, of what is installed.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{context::Context, error::Error, exit::Exit, flags::Format, report::Output},
    cluster::inventory,
    delivery::bundle,
};

/// Flags of `silica version`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica version
  silica version --cluster -o json")]
pub struct VersionArgs {
    #[command(flatten)]
    pub format: Format,
    /// Ask the cluster, too
    #[arg(long)]
    pub cluster: bool,
}

/// Prints the versions.
pub async fn run(context: &Context, args: &VersionArgs) -> Result<Exit, Error> {
    let version = env!("CARGO_PKG_VERSION");
    let images = if bundle::is_present() {
        let bundle = bundle::unpack()?;
        vec![bundle.manager.reference(), bundle.runtime.reference()]
    } else {
        Vec::new()
    };
    let installed = if args.cluster {
        inventory::read(&context.cluster().await?)
            .await?
            .map(|inventory| inventory.version)
    } else {
        None
    };
    match context.printer.output() {
        Output::Json => {
            context
                .printer
                .json(&json!({"silica": version, "images": images, "installed": installed}))?;
        }
        Output::Text => {
            let mut lines = vec![format!("silica {version}")];
            lines.extend(images.iter().map(|image| format!("carries {image}")));
            if args.cluster {
                lines.push(format!("installed {}", installed.as_deref().unwrap_or("nothing")));
            }
            context.printer.result(lines.join("\n"))?;
        }
    }
    Ok(Exit::Success)
}
