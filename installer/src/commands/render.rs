//! `silica render`: the objects of an installation as YAML.

use clap::Args;
use silica_api::names;
use silica_manifests::{Images, documents, objects};

use crate::{
    cli::{check::Verdict, context::Context, error::Error, exit::Exit},
    cluster::Cluster,
    delivery::{self, Delivery, bundle, pack::Packing},
    pipeline::read_resolved,
    plan,
    settings::{InstallArgs, Layer, Said, Settings},
};

/// Flags of `silica render`: those of `silica install`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica render --domain sandbox.example.com > silica.yaml
  silica render --values silica.yaml | kubectl diff -f -
  silica render --from-cluster | kubectl diff -f -      # what install without flags would change")]
pub struct RenderArgs {
    #[command(flatten)]
    pub install: InstallArgs,
    /// Start from the values that are kept in the cluster, and choose the way of the images by its nodes, as install does; without it no cluster is asked
    #[arg(long, conflicts_with = "reset_values")]
    pub from_cluster: bool,
}

/// Prints the objects. Secrets are not among them: their content is made by
/// `install` and never leaves for a file.
pub async fn run(context: &Context, args: &RenderArgs) -> Result<Exit, Error> {
    // What can be told without a connection is told before.
    let said = Said::read(&args.install)?;
    let (settings, cluster) = if args.from_cluster {
        let cluster = context.cluster().await?;
        let settings = read_resolved(context, &cluster, &args.install, &said).await?;
        (settings, Some(cluster))
    } else {
        (Settings::of(&args.install, said.over(Layer::new()))?, None)
    };
    let packing = packing(context, &settings, cluster.as_ref()).await?;
    let objects = objects(&plan::options(&settings, packing));
    context.printer.result(documents(objects.iter())?)?;
    Ok(Exit::Success)
}

/// What pods name, and what travels in ConfigMaps; with a cluster what `install` would choose.
async fn packing(
    context: &Context,
    settings: &Settings,
    cluster: Option<&Cluster>,
) -> Result<Packing, Error> {
    let printer = &context.printer;
    if delivery::needs_bundle(settings) && !bundle::is_present() {
        printer.warn("this silica carries no server binaries: the image tags are placeholders");
        return Ok(stand_in(settings).into());
    }
    let bundle = delivery::needs_bundle(settings)
        .then(bundle::unpack)
        .transpose()?;
    let Some(cluster) = cluster else {
        return match bundle {
            Some(bundle) => delivery::without_cluster(settings, &bundle, None),
            None => Ok(delivery::image_references(settings, None)?.into()),
        };
    };
    let delivery = Delivery::decide(cluster, settings, bundle.as_ref()).await?;
    for check in delivery
        .checks
        .iter()
        .filter(|check| check.verdict == Verdict::Fail)
    {
        printer.warn(format!(
            "install would stop here: {}: {}",
            check.title, check.detail
        ));
    }
    Ok(delivery.packing)
}

/// References of a bundle that is not there.
fn stand_in(settings: &Settings) -> Images {
    let version = env!("CARGO_PKG_VERSION");
    let or_local = |chosen: &Option<String>, name| {
        let chosen = chosen.clone();
        chosen.unwrap_or_else(|| names::local_image(name, version))
    };
    Images {
        manager: or_local(&settings.images.manager, names::MANAGER_IMAGE),
        runtime: or_local(&settings.images.runtime, names::RUNTIME_IMAGE),
    }
}
