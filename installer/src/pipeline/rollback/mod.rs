//! Puts a former installation back when its successor does not become ready.
//!
//! What has to come back is read from the cluster before the first write: each
//! object of the former inventory, reduced to the fields that were applied. It is kept in
//! the cluster until the successor serves.

mod stored;

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::Value;
use silica_api::names;

use crate::{
    cluster::{
        CONCURRENCY, Cluster, Error, found,
        inventory::{self, Entry, Inventory, State},
        request,
    },
    pipeline::owned_fields,
};

/// The former installation. No `Debug`: objects of users' making may hold what is private.
#[derive(Clone)]
pub struct Snapshot {
    inventory: Inventory,
    objects: Vec<(Entry, Value)>,
}

impl Snapshot {
    /// Reads the objects of a finished installation; `None` when there is none to go back to.
    /// Immutable objects are left out: they are what they were, and go only when the
    /// successor serves.
    pub async fn read(cluster: &Cluster, inventory: Option<&Inventory>) -> Result<Option<Self>, Error> {
        let Some(inventory) = inventory.filter(|inventory| inventory.state == State::Complete) else {
            return Ok(None);
        };
        let objects = stream::iter(inventory.objects.iter().filter(|entry| !is_kept_as_is(entry)))
            .map(|entry| async move {
                let api = cluster.objects(&entry.resource(), entry.namespace.as_deref());
                let live: Option<DynamicObject> =
                    found(api.get(&entry.name).await).map_err(request("read", entry.title()))?;
                let applied = live
                    .filter(|live| live.data["immutable"] != true)
                    .and_then(|live| serde_json::to_value(live).ok())
                    .and_then(|live| owned_fields::extract(&live, names::FIELD_MANAGER_INSTALLER));
                Ok::<_, Error>(applied.map(|applied| (entry.clone(), applied)))
            })
            .buffered(CONCURRENCY)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(Some(Self {
            inventory: inventory.clone(),
            objects: objects.into_iter().flatten().collect(),
        }))
    }

    /// Writes the former objects, removes those that only `successor` has, and records
    /// the former inventory, with what of the successor stays.
    pub async fn restore(&self, cluster: &Cluster, successor: &Inventory) -> Result<(), Error> {
        // Whoever is no administrator may bind only roles that exist, so roles come first.
        let (bindings, others): (Vec<_>, Vec<_>) = self
            .objects
            .iter()
            .partition(|(entry, _)| entry.kind.ends_with("Binding"));
        for wave in [others, bindings] {
            stream::iter(wave)
                .map(|(entry, applied)| apply(cluster, entry, applied))
                .buffer_unordered(CONCURRENCY)
                .try_collect::<Vec<()>>()
                .await?;
        }
        for entry in self.added_by(successor) {
            inventory::delete(cluster, entry, &DeleteParams::background()).await?;
        }
        inventory::write(cluster, &self.restored(successor)).await?;
        let stored = inventory::former();
        inventory::delete(cluster, &stored, &DeleteParams::background()).await?;
        Ok(())
    }

    /// The inventory once this is put back: what is kept of the successor stays ours, so
    /// that the next installation, or the uninstallation, knows of it.
    fn restored(&self, successor: &Inventory) -> Inventory {
        let mut inventory = self.inventory.clone();
        let kept = successor.objects.iter().filter(|entry| is_kept_as_is(entry));
        inventory.objects.extend(kept.cloned());
        inventory
    }

    fn added_by<'a>(&'a self, successor: &'a Inventory) -> impl Iterator<Item = &'a Entry> {
        let known: &BTreeSet<Entry> = &self.inventory.objects;
        successor
            .objects
            .iter()
            .filter(move |entry| !known.contains(entry) && !is_kept_as_is(entry))
    }
}

/// Keys, certificates and what clients trust stay as they are: they serve both versions,
/// and clients may hold them already.
fn is_kept_as_is(entry: &Entry) -> bool {
    entry.kind == "Secret" || entry.name == names::CA_BUNDLE
}

async fn apply(cluster: &Cluster, entry: &Entry, applied: &Value) -> Result<(), Error> {
    let api = cluster.objects(&entry.resource(), entry.namespace.as_deref());
    let params = PatchParams::apply(names::FIELD_MANAGER_INSTALLER).force();
    api.patch(&entry.name, &params, &Patch::Apply(applied))
        .await
        .map(drop)
        .map_err(request("put back", entry.title()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_successor_added_goes_but_never_keys() {
        let inventory = |names: &[(&str, &str)]| Inventory {
            state: State::Complete,
            version: "1".into(),
            values: serde_json::Map::new(),
            domains: Vec::new(),
            objects: names
                .iter()
                .map(|(kind, name)| Entry::core(kind, "x", name))
                .collect(),
            verified: None,
        };
        let snapshot = Snapshot {
            inventory: inventory(&[("Service", "a")]),
            objects: Vec::new(),
        };
        let successor = inventory(&[("Service", "a"), ("Service", "b"), ("Secret", "key")]);
        let added: Vec<_> = snapshot
            .added_by(&successor)
            .map(|entry| entry.name.as_str())
            .collect();
        assert_eq!(added, ["b"]);
        let restored: Vec<_> = snapshot
            .restored(&successor)
            .objects
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(restored, ["key", "a"]);
    }
}
