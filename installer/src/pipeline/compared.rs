//! The differences between plan and cluster: shown, then written.

use std::collections::BTreeMap;

use kube::api::DeleteParams;
use serde_json::{Value, json};
use silica_api::names;
use silica_manifests::Phase;

use super::{Applied, Prepared, delete, write_inventory};
use crate::{
    apply::{self, Action, Change, Conflicts},
    bundle::Bundle,
    cluster::Cluster,
    error::Error,
    images::{self, Target},
    inventory::{Entry, State},
    plan::phase_title,
    run::Context,
    secrets::{Decision, contents},
    wait,
};

/// The plan and how the cluster differs from it.
pub struct Compared {
    pub(super) prepared: Prepared,
    pub(super) changes: BTreeMap<Phase, Vec<Change>>,
    pub(super) dropped: Vec<Entry>,
    pub(super) conflicts: Conflicts,
}

impl Compared {
    fn count(&self, action: Action) -> usize {
        self.changes
            .values()
            .flatten()
            .filter(|change| change.action == action)
            .count()
    }

    fn inventory_is_current(&self) -> bool {
        self.prepared.facts.inventory.as_ref() == Some(&self.prepared.plan.inventory)
    }

    /// Whether applying writes anything to the cluster.
    pub fn changes_anything(&self) -> bool {
        self.count(Action::Create) + self.count(Action::Update) > 0
            || !self.dropped.is_empty()
            || self.prepared.plan.secrets.writes()
            || !self.inventory_is_current()
    }

    pub(super) fn summary(&self) -> String {
        let (create, update, keep) = (
            self.count(Action::Create),
            self.count(Action::Update),
            self.count(Action::Keep),
        );
        format!(
            "{create} to create, {update} to update, {} to remove, {keep} as they should be",
            self.dropped.len()
        )
    }

    /// The differences for people. Of Secrets only the reason is told.
    pub fn describe(&self) -> String {
        let mut lines = Vec::new();
        for change in self.changes.values().flatten() {
            match change.action {
                Action::Create => lines.push(format!("  + {}", change.object.title())),
                Action::Update => lines.push(format!(
                    "  ~ {} ({})",
                    change.object.title(),
                    change.paths.join(", ")
                )),
                Action::Keep => {}
            }
        }
        for (request, decision) in &self.prepared.plan.secrets.decisions {
            if let Decision::Make(reason) = decision {
                lines.push(format!(
                    "  * Secret {}/{} ({reason})",
                    names::NAMESPACE,
                    request.name
                ));
            }
        }
        lines.extend(self.dropped.iter().map(|entry| format!("  - {}", entry.title())));
        if lines.is_empty() {
            "  nothing to change".into()
        } else {
            lines.join("\n")
        }
    }

    /// The differences for programs.
    pub fn to_json(&self) -> Value {
        let changes: Vec<Value> = self
            .changes
            .values()
            .flatten()
            .map(|change| json!({"object": change.object.title(), "action": change.action.as_str(), "paths": change.paths}))
            .collect();
        let secrets: Vec<Value> = self
            .prepared
            .plan
            .secrets
            .decisions
            .iter()
            .map(|(request, decision)| match decision {
                Decision::Keep => json!({"name": request.name, "action": "keep"}),
                Decision::Foreign => json!({"name": request.name, "action": "foreign"}),
                Decision::Make(reason) => json!({"name": request.name, "action": "make", "reason": reason}),
            })
            .collect();
        let removed: Vec<String> = self.dropped.iter().map(Entry::title).collect();
        json!({"changes": changes, "secrets": secrets, "remove": removed, "checks": self.prepared.report.checks})
    }

    /// Writes the difference.
    pub async fn apply(self, context: &Context, cluster: &Cluster) -> Result<Applied, Error> {
        let writes = self.changes_anything();
        let Self {
            prepared,
            changes,
            dropped,
            conflicts,
        } = self;
        let Prepared {
            settings,
            facts,
            plan,
            bundle,
            target,
            report: _,
            now,
        } = prepared;
        let printer = &context.printer;
        let made = contents::make(
            &plan.secrets,
            &facts.existing,
            &plan.options.domains,
            settings.admin_key.as_ref(),
            now,
        )?;
        let mut written = 0;
        for phase in Phase::ALL {
            if phase == Phase::Access && !made.objects.is_empty() {
                printer.start("Secrets");
                for object in &made.objects {
                    apply::apply(cluster, object, Conflicts::Force).await?;
                }
                written += made.objects.len();
                printer.done(&format!("{} written", made.objects.len()));
            }
            if phase == Phase::Workloads {
                deliver(context, bundle.as_ref(), &target).await?;
            }
            let of_phase = &changes[&phase];
            if of_phase.iter().any(|change| change.action != Action::Keep) {
                printer.start(phase_title(phase));
                let count = apply::apply_changes(cluster, of_phase, conflicts).await?;
                written += count;
                if phase == Phase::Crds {
                    let names: Vec<String> =
                        of_phase.iter().map(|change| change.object.name.clone()).collect();
                    wait::definitions(cluster, &names, context.deadline, printer).await?;
                }
                printer.done(&format!("{count} written"));
            }
            // The inventory lives in the namespace, and knows of everything
            // that comes after it.
            if phase == Phase::Namespace && writes {
                write_inventory(
                    cluster,
                    &plan.inventory.merged(facts.inventory.as_ref(), State::Applying),
                )
                .await?;
                written += 1;
            }
        }
        if !dropped.is_empty() {
            printer.start("Leftovers");
            for entry in &dropped {
                delete(cluster, entry, &DeleteParams::background()).await?;
            }
            written += dropped.len();
            printer.done(&format!("{} removed", dropped.len()));
        }
        if writes {
            write_inventory(cluster, &plan.inventory).await?;
            written += 1;
        }
        Ok(Applied {
            settings,
            plan,
            made,
            written,
        })
    }
}

async fn deliver(context: &Context, bundle: Option<&Bundle>, target: &Target) -> Result<(), Error> {
    let (Some(bundle), Target::Containerd(socket)) = (bundle, target) else {
        return Ok(());
    };
    let printer = &context.printer;
    printer.start("Images");
    let imported = images::deliver(bundle, socket).await?;
    printer.done(&match imported.as_slice() {
        [] => "the node has them".to_owned(),
        images => format!("imported {}", images.join(", ")),
    });
    Ok(())
}
