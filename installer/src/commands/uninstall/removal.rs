//! What an uninstallation removes, in which order, and what it leaves and why. Pure.

use std::fmt;

use serde_json::{Value, json};
use silica_api::names;

use super::UninstallArgs;
use crate::{
    cluster::inventory::{self, Entry},
    facts::{ClusterFacts, CrdFact, Existing, NamespaceFact, Strangers},
    secrets,
};

/// What goes, and what stays.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Removal {
    /// Pools, and users' objects: first, while the controller still cleans up.
    pub(super) sandboxes: Vec<Entry>,
    /// What the inventory lists beside these.
    pub(super) installation: Vec<Entry>,
    /// Definitions.
    pub(super) definitions: Vec<Entry>,
    /// What is outside the inventory, and the inventory itself.
    pub(super) last: Vec<Entry>,
    /// The namespace.
    pub(super) namespace: Option<Entry>,
    /// What stays.
    pub(super) kept: Vec<Kept>,
}

/// Something that stays, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Kept {
    /// For people.
    pub(super) what: String,
    /// The reason.
    pub(super) why: String,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.why)
    }
}

impl Removal {
    /// `users` are their objects, which go only when that was asked for.
    pub(super) fn plan(args: &UninstallArgs, facts: &ClusterFacts, users: Vec<Entry>) -> Self {
        let objects = facts
            .inventory
            .iter()
            .flat_map(|inventory| inventory.objects.iter().cloned());
        let (foreign, objects): (Vec<Entry>, Vec<Entry>) =
            objects.partition(|entry| is_of_another_issuer(&facts.existing, entry));
        let (pools, installation): (Vec<Entry>, Vec<Entry>) =
            objects.into_iter().partition(|entry| entry.kind == "SandboxSet");
        let mut removal = Self {
            sandboxes: pools,
            installation,
            // A rotation of the CA, an ACME account, a former version and the controller's election are
            // outside the inventory, which `install` prunes by.
            last: vec![
                inventory::former(),
                Entry::core("Secret", "secrets", names::CA_NEXT_SECRET),
                Entry::core("Secret", "secrets", names::ACME_SECRET),
                Entry {
                    api_version: "coordination.k8s.io/v1".into(),
                    ..Entry::core("Lease", "leases", names::CONTROLLER_LEASE)
                },
                Entry::core("ConfigMap", "configmaps", names::INVENTORY),
            ],
            ..Self::default()
        };
        for entry in foreign {
            removal.keep(entry.title(), "it is no longer silica's");
        }
        let asked_for = "it goes with --delete-sandboxes --delete-crds";
        if args.delete_sandboxes {
            removal.sandboxes.extend(users);
        } else if !users.is_empty() {
            removal.keep(format!("{} objects of users", users.len()), "--keep-sandboxes");
        }
        for fact in &facts.crds {
            if args.delete_crds && fact.is_ours {
                removal.definitions.push(definition(fact));
            } else {
                let why = if args.delete_crds {
                    "not of silica's making"
                } else {
                    asked_for
                };
                removal.keep(definition(fact).title(), why);
            }
        }
        let title = namespace().title();
        match &facts.namespace {
            NamespaceFact::Absent => {}
            // It goes whatever is said here; what holds it is told.
            NamespaceFact::Terminating => removal.namespace = Some(namespace()),
            NamespaceFact::Ours if args.delete_crds => removal.namespace = Some(namespace()),
            NamespaceFact::Ours => removal.keep(title, asked_for),
            NamespaceFact::Foreign { .. } => removal.keep(title, "not of silica's making"),
        }
        removal
    }

    fn keep(&mut self, what: String, why: &str) {
        self.kept.push(Kept {
            what,
            why: why.into(),
        });
    }

    /// Leaves the namespace when there is something of others in it.
    pub(super) fn spare(&mut self, strangers: &Strangers) {
        let Some(why) = strangers.reason() else { return };
        if let Some(namespace) = self.namespace.take() {
            let way_out = format!(
                "{why}; when that may go, too: kubectl delete namespace {}",
                namespace.name
            );
            self.keep(namespace.title(), &way_out);
        }
    }

    /// Everything that goes, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sandboxes
            .iter()
            .chain(&self.installation)
            .chain(&self.definitions)
            .chain(&self.last)
            .chain(&self.namespace)
    }

    /// For people, before anything is done.
    pub(super) fn describe(&self) -> String {
        let removed = self.entries().map(|entry| format!("  - {}", entry.title()));
        let kept = self.kept.iter().map(|kept| format!("  = {kept}"));
        let lines: Vec<String> = removed.chain(kept).collect();
        format!(
            "To remove (-), as far as it is there, and to keep (=):\n{}",
            lines.join("\n")
        )
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let removed: Vec<String> = self.entries().map(Entry::title).collect();
        json!({"remove": removed, "keep": kept_json(&self.kept)})
    }
}

pub(super) fn kept_json(kept: &[Kept]) -> Vec<Value> {
    kept.iter()
        .map(|kept| json!({"object": kept.what, "why": kept.why}))
        .collect()
}

/// Whether somebody else, such as cert-manager, has put a Secret of theirs into the place
/// of one of ours.
fn is_of_another_issuer(existing: &Existing, entry: &Entry) -> bool {
    let is_certificate = [names::TLS_SECRET, names::CA_SECRET].contains(&entry.name.as_str());
    let found = existing.secrets.get(&entry.name);
    entry.kind == "Secret" && is_certificate && found.is_some_and(|secret| !secrets::is_ours(secret))
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

pub(super) fn namespace() -> Entry {
    Entry {
        namespace: None,
        ..Entry::core("Namespace", "namespaces", names::NAMESPACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_holds_what_is_somebody_s_stays_and_says_why() {
        let mut removal = Removal {
            namespace: Some(namespace()),
            ..Removal::default()
        };
        removal.spare(&Strangers::default());
        assert!(removal.namespace.is_some());
        removal.spare(&Strangers {
            objects: vec!["Secret precious".into()],
            unseen: Vec::new(),
        });
        assert_eq!(removal.namespace, None);
        let text = removal.describe();
        assert!(
            text.contains("= Namespace sandbox-system (it holds Secret precious;"),
            "{text}"
        );
    }
}
