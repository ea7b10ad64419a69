//! Compares wanted objects with the cluster and writes the difference by
//! server-side apply. The only module that writes objects of the plan.

mod objection;
mod observe;

use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use silica_api::names;
use silica_manifests::{Object, YamlError};

pub use self::{
    objection::{Field, Objection, Why},
    observe::{Observed, observe},
};
use crate::cluster::{CONCURRENCY, Cluster, Error, diff::Difference, request};

/// What applying an object would do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Action {
    /// It does not exist.
    Create,
    /// It exists with other content.
    Update,
    /// It exists as wanted.
    Keep,
}

impl Action {
    /// For lines and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Keep => "keep",
        }
    }
}

/// Whose fields win.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Conflicts {
    /// Report fields that somebody else set.
    Refuse,
    /// Take them over.
    Force,
}

/// An object and what applying it would do.
#[derive(Clone, Debug)]
pub struct Change {
    /// The object.
    pub object: Object,
    /// What would happen.
    pub action: Action,
    /// Paths that differ, at most four levels deep, for updates.
    pub paths: Vec<String>,
    /// Both versions, for updates.
    pub difference: Option<Difference>,
}

impl Change {
    /// Whether the content is as wanted and only the field manager is another.
    pub fn is_takeover(&self) -> bool {
        self.action == Action::Update && self.paths == ["metadata.managedFields"]
    }

    /// The difference as a unified diff without secrets; `None` unless it is an update.
    pub fn diff(&self) -> Result<Option<String>, YamlError> {
        let difference = self.difference.as_ref();
        difference.map(|one| one.render(&self.object)).transpose()
    }
}

fn params(conflicts: Conflicts) -> PatchParams {
    let params = PatchParams::apply(names::FIELD_MANAGER_INSTALLER).validation_strict();
    match conflicts {
        Conflicts::Refuse => params,
        Conflicts::Force => params.force(),
    }
}

fn api(cluster: &Cluster, object: &Object) -> Api<DynamicObject> {
    cluster.objects(&object.resource, object.namespace.as_deref())
}

/// Writes one object.
pub async fn apply(cluster: &Cluster, object: &Object, conflicts: Conflicts) -> Result<DynamicObject, Error> {
    let written = api(cluster, object)
        .patch(&object.name, &params(conflicts), &Patch::Apply(&object.content))
        .await;
    written.map_err(request("apply", object.title()))
}

/// Writes those objects that differ, several at a time. They must not depend on
/// one another, but for bindings: whoever is no administrator may bind only roles
/// that exist, so roles come first. Returns how many were written.
pub async fn apply_changes(
    cluster: &Cluster,
    changes: &[Change],
    conflicts: Conflicts,
) -> Result<usize, Error> {
    let is_binding = |change: &&Change| change.object.resource.kind.ends_with("Binding");
    let (bindings, others): (Vec<&Change>, Vec<&Change>) = changes
        .iter()
        .filter(|change| change.action != Action::Keep)
        .partition(is_binding);
    let mut written = 0;
    for wave in [others, bindings] {
        written += stream::iter(wave)
            .map(|change| apply(cluster, &change.object, conflicts))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<Vec<_>>()
            .await?
            .len();
    }
    Ok(written)
}
