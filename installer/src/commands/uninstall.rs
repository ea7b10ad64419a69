//! `silica uninstall`: removes what the inventory lists, and proves it.
//!
//! Definitions and users' sandboxes stay unless told otherwise, since deleting a
//! definition deletes every object of it.

use std::collections::BTreeSet;

use clap::Args;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
    core::ApiResource,
};
use serde_json::json;
use silica_api::{
    crd::{Sandbox, SandboxSet, SandboxTemplate},
    labels, names,
};

use crate::{
    cli::Format,
    cluster::{Cluster, request},
    error::Error,
    exit::Exit,
    facts::{ClusterFacts, CrdFact, Existing, NamespaceFact},
    inventory::{Entry, Inventory, State},
    lock,
    pipeline::{delete, write_inventory},
    report::Output,
    run::Context,
    secrets, wait,
};

/// Kinds that are deleted only after what they own is gone.
const OWNERS: [&str; 2] = ["Deployment", "SandboxSet"];
/// Names shown in a refusal.
const SHOWN: usize = 10;

/// Flags of `silica uninstall`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica uninstall
  silica uninstall --delete-sandboxes --delete-crds --yes")]
pub struct UninstallArgs {
    #[command(flatten)]
    pub format: Format,
    /// Delete every Sandbox, SandboxSet and SandboxTemplate of the cluster
    #[arg(long)]
    pub delete_sandboxes: bool,
    /// Keep users' sandboxes, though nothing acts on them any more
    #[arg(long, conflicts_with_all = ["delete_sandboxes", "delete_crds"])]
    pub keep_sandboxes: bool,
    /// Delete the definitions; together with --delete-sandboxes the namespace goes, too
    #[arg(long, requires = "delete_sandboxes")]
    pub delete_crds: bool,
}

/// Removes the installation.
pub async fn run(context: &Context, args: &UninstallArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let cluster = context.cluster().await?;
    printer.start("Inventory");
    let facts = ClusterFacts::read(&cluster).await?;
    let inventory = &facts.inventory;
    if inventory.is_none() && !(args.delete_crds && facts.namespace == NamespaceFact::Ours) {
        return Err(Error::NotInstalled);
    }
    let objects: Vec<Entry> = inventory
        .iter()
        .flat_map(|inventory| inventory.objects.iter().cloned())
        .collect();
    let users = read_user_objects(&cluster, &objects, !facts.crds.is_empty()).await?;
    if !users.is_empty() && !args.delete_sandboxes && !args.keep_sandboxes {
        let names = users.iter().take(SHOWN).map(Entry::title).collect();
        return Err(Error::UserObjects {
            number: users.len(),
            names,
        });
    }
    let fate = if args.delete_sandboxes {
        "to remove"
    } else {
        "stay"
    };
    printer.done(&format!(
        "{} objects to remove; {} of users {fate}",
        objects.len(),
        users.len()
    ));
    let users = if args.delete_sandboxes { users } else { Vec::new() };
    context
        .confirm(&format!(
            "Remove {} objects from the cluster at {}?",
            objects.len() + users.len(),
            cluster.server
        ))
        .await?;
    lock::exclusive(&cluster, async {
        facts.still_hold(&cluster).await?;
        remove_all(context, &cluster, args, &facts, users).await
    })
    .await
}

/// Removes the installation, while no other command changes it.
async fn remove_all(
    context: &Context,
    cluster: &Cluster,
    args: &UninstallArgs,
    facts: &ClusterFacts,
    users: Vec<Entry>,
) -> Result<Exit, Error> {
    let printer = &context.printer;
    let objects = facts
        .inventory
        .iter()
        .flat_map(|inventory| inventory.objects.iter().cloned())
        .filter(|entry| !is_of_another_issuer(&facts.existing, entry));
    if let Some(inventory) = &facts.inventory {
        write_inventory(
            cluster,
            &Inventory {
                state: State::Removing,
                ..inventory.clone()
            },
        )
        .await?;
    }

    let mut removed = 0;
    // Users' objects and the pools first, while the controller still cleans up.
    let (pools, rest): (Vec<Entry>, Vec<Entry>) = objects.partition(|entry| entry.kind == "SandboxSet");
    let mut crds = Vec::new();
    // A rotation of the CA and an ACME account are outside the inventory, which `install` prunes by.
    let mut last = vec![
        Entry::core("Secret", "secrets", names::CA_NEXT_SECRET),
        Entry::core("Secret", "secrets", names::ACME_SECRET),
        Entry::core("ConfigMap", "configmaps", names::INVENTORY),
    ];
    if args.delete_crds {
        crds.extend(facts.crds.iter().filter(|fact| fact.is_ours).map(definition));
        if facts.namespace == NamespaceFact::Ours {
            last.push(namespace());
        }
    }
    let steps = [
        ("Sandboxes", [pools, users].concat()),
        ("Installation", rest),
        ("Definitions", crds),
        ("Inventory", last),
    ];
    for (title, entries) in steps {
        if entries.is_empty() {
            continue;
        }
        printer.start(title);
        remove(context, cluster, &entries).await?;
        removed += entries.len();
        printer.done(&format!("{} removed", entries.len()));
    }
    match printer.output() {
        Output::Text => printer.result(if args.delete_crds {
            "Silica is gone, nothing of it is left.".to_owned()
        } else {
            format!(
                "Silica is gone. Kept: namespace {} and the definitions of {}.",
                names::NAMESPACE,
                names::GROUP
            )
        })?,
        Output::Json => printer.json(&json!({"removed": removed}))?,
    }
    Ok(Exit::Success)
}

/// Whether somebody else, such as cert-manager, has put a Secret of theirs into the place
/// of one of ours.
fn is_of_another_issuer(existing: &Existing, entry: &Entry) -> bool {
    let is_certificate = [names::TLS_SECRET, names::CA_SECRET].contains(&entry.name.as_str());
    let found = existing.secrets.get(&entry.name);
    entry.kind == "Secret" && is_certificate && found.is_some_and(|secret| !secrets::is_ours(secret))
}

/// Deletes objects and waits until they are gone. All are tried; what is left
/// is an error.
async fn remove(context: &Context, cluster: &Cluster, entries: &[Entry]) -> Result<(), Error> {
    for entry in entries {
        let params = if OWNERS.contains(&entry.kind.as_str()) {
            DeleteParams::foreground()
        } else {
            DeleteParams::background()
        };
        delete(cluster, entry, &params).await?;
    }
    let mut left = Vec::new();
    for entry in entries {
        match wait::gone(cluster, entry, context.deadline, &context.printer).await {
            Ok(()) => {}
            Err(wait::Error::Timeout { .. }) => left.push(entry.clone()),
            Err(error) => return Err(error.into()),
        }
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(Error::LeftBehind { left })
    }
}

/// What users made: every custom object that neither the inventory lists nor
/// one of its pools keeps in stock.
async fn read_user_objects(
    cluster: &Cluster,
    inventory: &[Entry],
    has_definitions: bool,
) -> Result<Vec<Entry>, Error> {
    if !has_definitions {
        return Ok(Vec::new());
    }
    let ours: BTreeSet<&Entry> = inventory.iter().collect();
    let mut users = Vec::new();
    let sets: Api<SandboxSet> = Api::all(cluster.client.clone());
    let templates: Api<SandboxTemplate> = Api::all(cluster.client.clone());
    let sandboxes: Api<Sandbox> = Api::all(cluster.client.clone());
    let all = ListParams::default();
    let failed = |kind: &'static str| move |error| request("list", kind)(error);
    users.extend(
        existing(sets.list(&all).await)
            .map_err(failed("SandboxSets"))?
            .iter()
            .map(entry::<SandboxSet>),
    );
    users.extend(
        existing(templates.list(&all).await)
            .map_err(failed("SandboxTemplates"))?
            .iter()
            .map(entry::<SandboxTemplate>),
    );
    users.retain(|entry| !ours.contains(entry));
    let pools: BTreeSet<(Option<&str>, &str)> = inventory
        .iter()
        .filter(|entry| entry.kind == "SandboxSet")
        .map(|entry| (entry.namespace.as_deref(), entry.name.as_str()))
        .collect();
    let stocked = |sandbox: &Sandbox| {
        let label = |key: &str| sandbox.labels().get(key).map(String::as_str);
        label(labels::CLAIMED) != Some("true")
            && label(labels::POOL)
                .is_some_and(|pool| pools.contains(&(sandbox.metadata.namespace.as_deref(), pool)))
    };
    let found = existing(sandboxes.list(&all).await).map_err(failed("Sandboxes"))?;
    users.extend(
        found
            .iter()
            .filter(|sandbox| !stocked(sandbox))
            .map(entry::<Sandbox>),
    );
    Ok(users)
}

/// A kind without definition has no objects.
fn existing<K: Clone>(listed: Result<kube::core::ObjectList<K>, kube::Error>) -> Result<Vec<K>, kube::Error> {
    match listed {
        Ok(list) => Ok(list.items),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn entry<K: kube::Resource<DynamicType = ()>>(object: &K) -> Entry {
    let resource = ApiResource::erase::<K>(&());
    Entry {
        api_version: resource.api_version,
        kind: resource.kind,
        plural: resource.plural,
        namespace: object.namespace(),
        name: object.name_any(),
    }
}

fn definition(fact: &CrdFact) -> Entry {
    Entry {
        api_version: "apiextensions.k8s.io/v1".into(),
        kind: "CustomResourceDefinition".into(),
        plural: "customresourcedefinitions".into(),
        namespace: None,
        name: fact.name.clone(),
    }
}

fn namespace() -> Entry {
    Entry {
        namespace: None,
        ..Entry::core("Namespace", "namespaces", names::NAMESPACE)
    }
}
