//! `silica uninstall`: removes what the inventory lists, and proves it.
//!
//! Definitions and users' sandboxes stay unless told otherwise, since deleting a
//! definition deletes every object of it. The namespace stays when it holds what is
//! somebody else's.

mod removal;
mod remove;
mod sweep;
mod users;

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

pub use self::remove::Left;
use self::{
    removal::{Kept, Removal, kept_json},
    remove::remove,
};
use crate::{
    cli::{context::Context, error::Error, exit::Exit, flags::Format, report::Output},
    cluster::{
        Cluster,
        inventory::{self, Entry, Inventory, State},
        lock,
    },
    facts::{ClusterFacts, NamespaceFact, Strangers, read_strangers},
};

/// Names shown in a refusal.
const SHOWN: usize = 10;

/// Flags of `silica uninstall`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica uninstall
  silica uninstall --delete-sandboxes --delete-crds --dry-run
  silica uninstall --delete-sandboxes --delete-crds --yes")]
pub struct UninstallArgs {
    #[command(flatten)]
    pub format: Format,
    /// Delete every Sandbox, SandboxSet, SandboxTemplate and SandboxClaim of the cluster
    #[arg(long)]
    pub delete_sandboxes: bool,
    /// Keep users' sandboxes, though nothing acts on them any more
    #[arg(long, conflicts_with_all = ["delete_sandboxes", "delete_crds"])]
    pub keep_sandboxes: bool,
    /// Delete the definitions; the namespace goes, too, unless it holds objects of somebody else
    #[arg(long, requires = "delete_sandboxes")]
    pub delete_crds: bool,
    /// Show what would be removed and what would stay, and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// Removes the installation.
pub async fn run(context: &Context, args: &UninstallArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let cluster = context.cluster().await?;
    printer.start("Inventory");
    let facts = ClusterFacts::read(&cluster).await?;
    let has_namespace = matches!(facts.namespace, NamespaceFact::Ours | NamespaceFact::Terminating);
    if facts.inventory.is_none() && !(args.delete_crds && has_namespace) {
        return Err(Error::NotInstalled);
    }
    let objects: Vec<Entry> = facts
        .inventory
        .iter()
        .flat_map(|inventory| inventory.objects.iter().cloned())
        .collect();
    let users = users::read(&cluster, &objects, !facts.crds.is_empty()).await?;
    if !users.is_empty() && !args.delete_sandboxes && !args.keep_sandboxes {
        let names = users.iter().take(SHOWN).map(Entry::title).collect();
        return Err(Error::UserObjects {
            number: users.len(),
            names,
        });
    }
    let number = users.len();
    let fate = if args.delete_sandboxes {
        "to remove"
    } else {
        "stay"
    };
    let mut removal = Removal::plan(args, &facts, users);
    let strangers = strangers(&cluster, &facts, &removal).await?;
    removal.spare(&strangers);
    printer.done(&format!(
        "{} objects to remove; {number} of users {fate}",
        objects.len()
    ));
    if args.dry_run {
        match printer.output() {
            Output::Text => printer.result(removal.describe())?,
            Output::Json => printer.json(&removal.to_json())?,
        }
        return Ok(Exit::Success);
    }
    for kept in &removal.kept {
        printer.info(format!("  = {kept}"));
    }
    context
        .confirm(&format!(
            "Remove {} objects from the cluster at {}?",
            removal.sandboxes.len() + removal.installation.len(),
            cluster.server
        ))
        .await?;
    // On the heap: it is large.
    let work = Box::pin(async {
        facts.still_hold(&cluster).await?;
        remove_all(context, &cluster, &facts, removal).await
    });
    lock::exclusive(&cluster, work).await
}

/// What others keep in a namespace that is to go.
async fn strangers(cluster: &Cluster, facts: &ClusterFacts, removal: &Removal) -> Result<Strangers, Error> {
    if removal.namespace.is_none() || facts.namespace == NamespaceFact::Terminating {
        return Ok(Strangers::default());
    }
    let goes: BTreeSet<Entry> = removal.entries().cloned().collect();
    Ok(read_strangers(cluster, &goes).await?)
}

/// Removes the installation, while no other command changes it.
async fn remove_all(
    context: &Context,
    cluster: &Cluster,
    facts: &ClusterFacts,
    mut removal: Removal,
) -> Result<Exit, Error> {
    let printer = &context.printer;
    if let Some(inventory) = &facts.inventory {
        let removing = Inventory {
            state: State::Removing,
            ..inventory.clone()
        };
        inventory::write(cluster, &removing).await?;
    }
    let mut removed = 0;
    for (title, entries) in [
        ("Sandboxes", &removal.sandboxes),
        ("Installation", &removal.installation),
        ("Definitions", &removal.definitions),
        ("Inventory", &removal.last),
    ] {
        removed += step(context, cluster, title, entries).await?;
    }
    // Somebody may have put something there meanwhile.
    let strangers = strangers(cluster, facts, &removal).await?;
    removal.spare(&strangers);
    if let Some(namespace) = removal.namespace.clone() {
        removed += step(context, cluster, "Namespace", &[namespace]).await?;
    }
    printer.start("Proof");
    let kept: BTreeSet<String> = removal.kept.iter().map(|kept| kept.what.clone()).collect();
    let swept = sweep::sweep(cluster, &kept, context.deadline).await?;
    if !swept.left.is_empty() {
        return Err(Error::LeftBehind { left: swept.left });
    }
    let unseen = &swept.unseen;
    if unseen.is_empty() {
        printer.done("nothing else carries the label of silica");
    } else {
        printer.stop();
        printer.warn(format!(
            "not proven for what you may not list: {}",
            unseen.join(", ")
        ));
    }
    match printer.output() {
        Output::Text => printer.result(ending(&removal.kept, unseen.is_empty()))?,
        Output::Json => printer.json(&json!({
            "removed": removed,
            "kept": kept_json(&removal.kept),
            "unseen": unseen,
        }))?,
    }
    Ok(Exit::Success)
}

/// Removes these objects; returns how many were there.
async fn step(context: &Context, cluster: &Cluster, title: &str, entries: &[Entry]) -> Result<usize, Error> {
    if entries.is_empty() {
        return Ok(0);
    }
    context.printer.start(title);
    let removed = remove(context, cluster, entries).await?;
    context.printer.done(&format!("{removed} removed"));
    Ok(removed)
}

/// What is said in the end: no more than what was seen.
fn ending(kept: &[Kept], has_seen_all: bool) -> String {
    if kept.is_empty() {
        return if has_seen_all {
            "Silica is gone, nothing of it is left.".into()
        } else {
            "Silica is gone, as far as you may look.".into()
        };
    }
    let kept: Vec<String> = kept.iter().map(|kept| format!("  {kept}")).collect();
    format!("Silica is gone. Kept:\n{}", kept.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nothing_is_left_is_said_only_when_that_was_seen() {
        let kept = Kept {
            what: "Namespace sandbox-system".into(),
            why: "it holds Secret a".into(),
        };
        assert!(ending(&[], true).contains("nothing of it is left"));
        for text in [ending(&[], false), ending(std::slice::from_ref(&kept), true)] {
            assert!(!text.contains("nothing of it is left"), "{text}");
        }
        assert!(ending(&[kept], true).contains("Namespace sandbox-system (it holds Secret a)"));
    }
}
