//! The differences between plan and cluster: shown, then written.

use std::collections::BTreeMap;

use kube::api::DeleteParams;
use serde_json::{Value, json};
use silica_api::names;
use silica_manifests::{Object, Phase};

use super::{Applied, Prepared, delete, write_inventory};
use crate::{
    apply::{self, Action, Change, Conflicts},
    bundle::Bundle,
    cluster::Cluster,
    delivery::{Target, send},
    error::Error,
    inventory::{Entry, State},
    lock,
    plan::phase_title,
    report,
    rollback::Snapshot,
    run::Context,
    secrets::{Decision, contents},
    settings::{ValueChange, show},
    wait,
};

/// The plan and how the cluster differs from it.
pub struct Compared {
    pub(super) prepared: Prepared,
    /// Values that a former run had otherwise.
    pub(super) values: Vec<ValueChange>,
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
            || self.new_pull_secret().is_some()
            || !self.inventory_is_current()
    }

    /// The pull Secret, unless the cluster has it.
    fn new_pull_secret(&self) -> Option<&Object> {
        let secret = self.prepared.pull_secret.as_ref();
        secret
            .filter(|secret| !secret.is_current)
            .map(|secret| &secret.object)
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

    /// What a dry run shows: the chosen values with their origin, what happens to
    /// which object, and the differences in full.
    pub fn preview(&self) -> Result<String, Error> {
        let mut text = format!(
            "Values that are not defaults:\n{}\nChanges:\n{}\n",
            self.prepared.settings.resolved.describe(false),
            self.describe()
        );
        for change in self.changes.values().flatten() {
            if let Some(diff) = change.diff()?.filter(|diff| !diff.is_empty()) {
                text.push('\n');
                text.push_str(&report::colored_diff(&diff));
            }
        }
        Ok(text)
    }

    /// The differences for people. Of Secrets only the reason is told.
    pub fn describe(&self) -> String {
        let mut lines: Vec<String> = self
            .values
            .iter()
            .map(|change| {
                let (from, to) = (show(&change.from), show(&change.to));
                format!("  ~ value {}: {from} -> {to} ({})", change.key, change.origin)
            })
            .collect();
        let mut taken = 0;
        for change in self.changes.values().flatten() {
            match change.action {
                // Somebody else wrote exactly what is wanted, for example kubectl.
                Action::Update if change.is_takeover() => taken += 1,
                Action::Create => lines.push(format!("  + {}", change.object.title())),
                Action::Update => lines.push(format!(
                    "  ~ {} ({})",
                    change.object.title(),
                    change.paths.join(", ")
                )),
                Action::Keep => {}
            }
        }
        if taken > 0 {
            lines.push(format!(
                "  = {taken} objects are as they should be and get silica as their field manager"
            ));
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
        let pull_secret = self.new_pull_secret();
        lines.extend(
            pull_secret.map(|secret| format!("  * {} (credentials of the registry)", secret.title())),
        );
        lines.extend(self.dropped.iter().map(|entry| format!("  - {}", entry.title())));
        if lines.is_empty() {
            "  nothing to change".into()
        } else {
            lines.join("\n")
        }
    }

    /// The differences for programs.
    pub fn to_json(&self) -> Result<Value, Error> {
        let changes = self
            .changes
            .values()
            .flatten()
            .map(|change| {
                Ok(json!({
                    "object": change.object.title(),
                    "action": change.action.as_str(),
                    "paths": change.paths,
                    "diff": change.diff()?,
                }))
            })
            .collect::<Result<Vec<Value>, Error>>()?;
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
        let values: Vec<Value> = self
            .values
            .iter()
            .map(|change| {
                json!({"key": change.key, "from": change.from, "to": change.to, "origin": change.origin.to_string()})
            })
            .collect();
        Ok(json!({
            "values": values,
            "settings": self.prepared.settings.resolved.to_json(),
            "changes": changes,
            "secrets": secrets,
            "remove": removed,
            "checks": self.prepared.report.checks,
        }))
    }

    /// Writes the difference.
    pub async fn apply(self, context: &Context, cluster: &Cluster) -> Result<Applied, Error> {
        if !self.changes_anything() {
            return Box::pin(self.write(context, cluster, 0)).await;
        }
        // The lock lives in the namespace, so the namespace comes before it.
        let namespace = self.apply_phase(context, cluster, Phase::Namespace).await?;
        let locked = lock::exclusive(cluster, async {
            self.prepared.facts.still_hold(cluster).await?;
            Box::pin(self.write(context, cluster, namespace)).await
        });
        Box::pin(locked).await
    }

    /// Applies one phase; tells how many objects were written.
    async fn apply_phase(&self, context: &Context, cluster: &Cluster, phase: Phase) -> Result<usize, Error> {
        let printer = &context.printer;
        let of_phase = &self.changes[&phase];
        if of_phase.iter().all(|change| change.action == Action::Keep) {
            return Ok(0);
        }
        printer.start(phase_title(phase));
        let count = apply::apply_changes(cluster, of_phase, self.conflicts).await?;
        if phase == Phase::Crds {
            let names: Vec<String> = of_phase.iter().map(|change| change.object.name.clone()).collect();
            wait::definitions(cluster, &names, context.deadline, printer).await?;
        }
        printer.done(&format!("{count} written"));
        Ok(count)
    }

    /// Writes everything behind the namespace; `written` objects were written before.
    async fn write(self, context: &Context, cluster: &Cluster, mut written: usize) -> Result<Applied, Error> {
        let writes = self.changes_anything();
        let Prepared { facts, plan, .. } = &self.prepared;
        let printer = &context.printer;
        let made = contents::make(
            &plan.secrets,
            &facts.existing,
            &plan.options.domains,
            self.prepared.settings.admin_key.as_ref(),
            self.prepared.now,
        )?;
        let former = if writes && !self.prepared.settings.no_rollback {
            Snapshot::read(cluster, facts.inventory.as_ref()).await?
        } else {
            None
        };
        // The inventory knows of everything that comes after it.
        if writes {
            let merged = plan.inventory.merged(facts.inventory.as_ref(), State::Applying);
            write_inventory(cluster, &merged).await?;
            written += 1;
        }
        for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Namespace) {
            if phase == Phase::Access && !made.objects.is_empty() {
                printer.start("Secrets");
                for object in &made.objects {
                    apply::apply(cluster, object, Conflicts::Force).await?;
                }
                written += made.objects.len();
                printer.done(&format!("{} written", made.objects.len()));
            }
            if phase == Phase::Workloads {
                if let Some(secret) = self.new_pull_secret() {
                    apply::apply(cluster, secret, Conflicts::Force).await?;
                    written += 1;
                }
                Box::pin(deliver(
                    context,
                    self.prepared.bundle.as_ref(),
                    &self.prepared.target,
                ))
                .await?;
            }
            written += self.apply_phase(context, cluster, phase).await?;
        }
        if !self.dropped.is_empty() {
            printer.start("Leftovers");
            for entry in &self.dropped {
                delete(cluster, entry, &DeleteParams::background()).await?;
            }
            written += self.dropped.len();
            printer.done(&format!("{} removed", self.dropped.len()));
        }
        if writes {
            write_inventory(cluster, &plan.inventory).await?;
            written += 1;
        }
        let Prepared {
            settings,
            plan,
            ingress_works,
            ..
        } = self.prepared;
        Ok(Applied {
            settings,
            plan,
            made,
            written,
            ingress_works,
            former,
        })
    }
}

async fn deliver(context: &Context, bundle: Option<&Bundle>, target: &Target) -> Result<(), Error> {
    let (Some(bundle), false) = (bundle, *target == Target::Nowhere) else {
        return Ok(());
    };
    let printer = &context.printer;
    printer.start("Images");
    match send::send(bundle, target).await? {
        Some(done) => printer.done(&done),
        None => printer.done("in ConfigMaps"),
    }
    Ok(())
}
