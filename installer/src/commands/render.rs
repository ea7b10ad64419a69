//! `silica render`: the objects of an installation as YAML.

use clap::Args;
use silica_api::names;
use silica_manifests::{Images, documents, objects};

use super::install::InstallArgs;
use crate::{bundle, delivery, error::Error, exit::Exit, plan, run::Context, settings::Settings};

/// Flags of `silica render`: those of `silica install`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica render --domain sandbox.example.com > silica.yaml
  silica render --values silica.yaml | kubectl diff -f -")]
pub struct RenderArgs {
    #[command(flatten)]
    pub install: InstallArgs,
}

/// Prints the objects. Secrets are not among them: their content is made by
/// `install` and never leaves for a file.
pub fn run(context: &Context, args: &RenderArgs) -> Result<Exit, Error> {
    let settings = Settings::read(&args.install, None)?;
    let packing = if !plan::needs_bundle(&settings) {
        plan::images(&settings, None)?.into()
    } else if bundle::is_present() {
        delivery::without_cluster(&settings, &bundle::unpack()?, None)?
    } else {
        let version = env!("CARGO_PKG_VERSION");
        context
            .printer
            .warn("this silica carries no server binaries: the image tags are placeholders");
        Images {
            manager: settings
                .images
                .manager
                .clone()
                .unwrap_or_else(|| names::local_image(names::MANAGER_IMAGE, version)),
            runtime: settings
                .images
                .runtime
                .clone()
                .unwrap_or_else(|| names::local_image(names::RUNTIME_IMAGE, version)),
        }
        .into()
    };
    let objects = objects(&plan::options(&settings, packing));
    context.printer.result(documents(objects.iter())?)?;
    Ok(Exit::Success)
}
