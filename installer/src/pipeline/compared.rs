//! The differences between plan and cluster: shown, then written.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use silica_api::names;
use silica_manifests::{Object, Phase};

use super::Prepared;
use crate::{
    cli::{error::Error, report},
    cluster::{
        apply::{Action, Change, Conflicts},
        inventory::{Entry, Inventory, State},
    },
    pipeline::rollback::Snapshot,
    secrets::Decision,
    settings::{ValueChange, show},
};

/// The plan and how the cluster differs from it.
pub struct Compared {
    pub(super) prepared: Prepared,
    /// Values that a former run had otherwise.
    pub(super) values: Vec<ValueChange>,
    pub(super) changes: BTreeMap<Phase, Vec<Change>>,
    pub(super) dropped: Vec<Entry>,
    pub(super) conflicts: Conflicts,
    /// What an unfinished run has kept to go back to.
    pub(super) stored: Option<Snapshot>,
}

impl Compared {
    fn count(&self, action: Action) -> usize {
        self.changes
            .values()
            .flatten()
            .filter(|change| change.action == action)
            .count()
    }

    /// Whether this run ends with what the plan says. One that does not wait leaves
    /// what others need until the new version serves: what is to be removed, and what
    /// can be gone back to.
    fn is_settled_at_the_end(&self) -> bool {
        !self.prepared.settings.no_wait || (self.dropped.is_empty() && self.stored.is_none())
    }

    /// The inventory while the new version starts.
    fn rolling_out(&self) -> Inventory {
        let former = self.prepared.facts.inventory.as_ref();
        self.prepared.plan.inventory.merged(former, State::RollingOut)
    }

    /// The inventory when everything is written; whoever waits goes on from there.
    pub(super) fn after_writing(&self) -> Inventory {
        if self.prepared.settings.no_wait && self.is_settled_at_the_end() {
            self.prepared.plan.inventory.clone()
        } else {
            self.rolling_out()
        }
    }

    fn inventory_is_current(&self) -> bool {
        let wanted = if self.is_settled_at_the_end() {
            self.prepared.plan.inventory.clone()
        } else {
            self.rolling_out()
        };
        let found = self.prepared.facts.inventory.as_ref();
        found.is_some_and(|found| found.says_the_same(&wanted))
    }

    /// Whether objects of the plan differ, leftovers and inventory aside.
    pub(super) fn writes_objects(&self) -> bool {
        self.count(Action::Create) + self.count(Action::Update) > 0
            || self.prepared.plan.secrets.writes()
            || self.new_pull_secret().is_some()
    }

    /// Whether the run writes anything to the cluster, a proof aside.
    pub fn changes_anything(&self) -> bool {
        self.writes_objects() || !self.inventory_is_current()
    }

    /// The pull Secret, unless the cluster has it.
    pub(super) fn new_pull_secret(&self) -> Option<&Object> {
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
        let fate = if self.is_settled_at_the_end() {
            ""
        } else {
            " (stays until a run waits for the rollout)"
        };
        lines.extend(
            self.dropped
                .iter()
                .map(|entry| format!("  - {}{fate}", entry.title())),
        );
        if !lines.is_empty() {
            lines.join("\n")
        } else if self.changes_anything() {
            "  = what an earlier run began is completed".into()
        } else {
            "  nothing to change".into()
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
}
