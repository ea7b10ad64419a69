//! `silica rbac`: the rights of the person who installs.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use k8s_openapi::api::rbac::v1::Subject;
use silica_manifests::{Images, Object, Phase, documents, objects};

use crate::{
    cli::{context::Context, error::Error, exit::Exit},
    cluster::inventory,
    delivery::{self, bundle, pack::Packing},
    plan,
    rights::{self, role},
    settings::{self, ImageDelivery, InstallArgs, Said, Settings, layer},
};

/// Rights do not depend on the domain, so none has to be given.
const ANY_DOMAIN: &str = "sandbox.example.com";

/// Flags of `silica rbac`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica rbac print | kubectl apply -f -
  silica rbac print --user jane@example.com
  silica rbac print --from-cluster --user jane@example.com
  silica rbac print --service-account ci/deployer --expose direct --templates --template-image-base IMAGE")]
pub struct RbacArgs {
    #[command(subcommand)]
    pub command: RbacCommand,
}

/// What to do about rights.
#[derive(Clone, Debug, Subcommand)]
pub enum RbacCommand {
    /// Print the smallest role that can install, upgrade and uninstall, as YAML
    Print(Box<PrintArgs>),
}

/// Flags of `silica rbac print`: those of `silica install`, and who gets the role.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica rbac print | kubectl apply -f -
  silica rbac print --user jane@example.com --expose direct
  silica rbac print --from-cluster --user jane@example.com

The output starts with the namespace, since roles in it need it. Removing the sandboxes and pools \
of users (uninstall --delete-sandboxes) takes an administrator.")]
pub struct PrintArgs {
    #[command(flatten)]
    pub install: InstallArgs,
    /// For an upgrade: start from the values that the cluster keeps, and add what removing its objects, or putting them back, takes
    #[arg(long)]
    pub from_cluster: bool,
    /// Bind the role to this user; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Subjects")]
    pub user: Vec<String>,
    /// Bind the role to this group; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Subjects")]
    pub group: Vec<String>,
    /// Bind the role to this service account; may be repeated
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = account, help_heading = "Subjects")]
    pub service_account: Vec<(String, String)>,
}

/// Prints the role.
pub async fn run(context: &Context, args: &RbacArgs) -> Result<Exit, Error> {
    let RbacCommand::Print(args) = &args.command;
    let (settings, former) = if args.from_cluster {
        let cluster = context.cluster().await?;
        let inventory = inventory::read(&cluster).await;
        let inventory = inventory.map_err(|error| error.at(&cluster))?;
        let former = rights::read_former(&cluster, inventory.as_ref()).await?;
        let kept = inventory.map(|inventory| inventory.values);
        let (mut layer, _) = layer::of_cluster(&kept.unwrap_or_default());
        let any = settings::stand_in(ANY_DOMAIN);
        layer.entry(any.0).or_insert(any.1);
        let said = Said::read(&args.install)?;
        (Settings::of(&args.install, said.over(layer))?, former)
    } else {
        let settings = Settings::read(&args.install, Some(ANY_DOMAIN))?;
        (settings, BTreeSet::new())
    };
    // What travels in ConfigMaps is part of the rights; which image it runs on is not.
    let packing = if settings.delivery == ImageDelivery::ConfigMap && delivery::needs_bundle(&settings) {
        delivery::without_cluster(&settings, &bundle::unpack()?, Some(""))?
    } else {
        Packing::from(Images {
            manager: String::new(),
            runtime: String::new(),
        })
    };
    let plan = objects(&plan::options(&settings, packing));
    let namespace = plan.of_phase(Phase::Namespace).cloned();
    let mut needed = rights::needed(&plan);
    let secret = settings
        .registry
        .as_ref()
        .and_then(|registry| registry.make_pull_secret.as_deref());
    needed.extend(secret.into_iter().flat_map(rights::of_secret));
    needed.extend(former);
    let roles = role::objects(&needed, &subjects(args));
    let printed: Vec<Object> = namespace.chain(roles).collect();
    context.printer.result(documents(printed.iter())?)?;
    Ok(Exit::Success)
}

fn subjects(args: &PrintArgs) -> Vec<Subject> {
    let of_rbac = |kind: &'static str| {
        move |name: &String| Subject {
            kind: kind.into(),
            name: name.clone(),
            api_group: Some("rbac.authorization.k8s.io".into()),
            ..Subject::default()
        }
    };
    let accounts = args.service_account.iter().map(|(namespace, name)| Subject {
        kind: "ServiceAccount".into(),
        name: name.clone(),
        namespace: Some(namespace.clone()),
        ..Subject::default()
    });
    args.user
        .iter()
        .map(of_rbac("User"))
        .chain(args.group.iter().map(of_rbac("Group")))
        .chain(accounts)
        .collect()
}

fn account(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("expected NAMESPACE/NAME".into()),
    }
}
