//! Objects with names of ours that somebody else made.

use futures::{StreamExt, TryStreamExt, stream};
use silica_manifests::Object;

use super::{
    definitions::{Owner, owner},
    is_ours,
};
use crate::cluster::{
    CONCURRENCY, Cluster, Error, found,
    inventory::{Entry, Inventory},
    request,
};

/// An object that the plan would write, and that somebody else made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claimed {
    /// `Kind namespace/name`.
    pub title: String,
    /// Who made it, as far as it can be told.
    pub owner: Owner,
}

/// Looks at those objects of the plan that no inventory lists. What carries our label is
/// ours, also when another tool has applied what `silica render` prints.
pub(crate) async fn read(
    cluster: &Cluster,
    objects: impl Iterator<Item = &Object>,
    inventory: Option<&Inventory>,
) -> Result<Vec<Claimed>, Error> {
    let wanted: Vec<Entry> = objects
        // Checks of their own look at these.
        .filter(|object| !["Namespace", "CustomResourceDefinition"].contains(&object.resource.kind.as_str()))
        .map(Entry::of)
        .filter(|entry| !inventory.is_some_and(|inventory| inventory.objects.contains(entry)))
        .collect();
    let claimed = stream::iter(wanted)
        .map(|entry| async move {
            let api = cluster.objects(&entry.resource(), entry.namespace.as_deref());
            // A kind without definition has no objects.
            let live = found(api.get_metadata(&entry.name).await);
            let live = live.map_err(request("read", entry.title()))?;
            Ok::<_, Error>(live.filter(|live| !is_ours(&live.metadata)).map(|live| Claimed {
                title: entry.title(),
                owner: owner(&live.metadata),
            }))
        })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(claimed.into_iter().flatten().collect())
}
