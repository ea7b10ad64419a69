//! Compares wanted objects with the cluster and writes the difference by
//! server-side apply. The only module that writes objects of the plan.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::Value;
use silica_api::names;
use silica_manifests::Object;

use crate::{
    cluster::{Cluster, Error, found, request},
    facts::CONCURRENCY,
};

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
    /// Top-level paths that differ, for updates.
    pub paths: Vec<String>,
}

impl Change {
    /// Whether the content is as wanted and only the field manager is another.
    pub fn is_takeover(&self) -> bool {
        self.action == Action::Update && self.paths == ["metadata.managedFields"]
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

/// Finds out what applying would do, without writing: existing objects go
/// through a server-side dry run, so that defaults and other managers' fields
/// count exactly as they would.
pub async fn observe(
    cluster: &Cluster,
    objects: Vec<Object>,
    conflicts: Conflicts,
) -> Result<Vec<Change>, Error> {
    stream::iter(objects)
        .map(|object| observe_one(cluster, object, conflicts))
        .buffered(CONCURRENCY)
        .try_collect()
        .await
}

async fn observe_one(cluster: &Cluster, object: Object, conflicts: Conflicts) -> Result<Change, Error> {
    let api = api(cluster, &object);
    if object.content["immutable"] == true {
        // Its name is made from its content, so what is there is what is wanted.
        let there = api.get_metadata_opt(&object.name).await;
        let there = there.map_err(request("read", object.title()))?;
        let action = if there.is_some() {
            Action::Keep
        } else {
            Action::Create
        };
        return Ok(Change {
            object,
            action,
            paths: Vec::new(),
        });
    }
    let live = found(api.get(&object.name).await).map_err(request("read", object.title()))?;
    let Some(live) = live else {
        return Ok(Change {
            object,
            action: Action::Create,
            paths: Vec::new(),
        });
    };
    let dry_run = params(conflicts).dry_run();
    let applied = api
        .patch(&object.name, &dry_run, &Patch::Apply(&object.content))
        .await;
    let applied = applied.map_err(request("compare", object.title()))?;
    let (live, applied) = (comparable(&live), comparable(&applied));
    let mut paths = BTreeSet::new();
    differences(&live, &applied, "", &mut paths);
    let action = if paths.is_empty() {
        Action::Keep
    } else {
        Action::Update
    };
    Ok(Change {
        object,
        action,
        paths: paths.into_iter().collect(),
    })
}

/// The content without what the server changes on its own account.
fn comparable(object: &DynamicObject) -> Value {
    // Kubernetes objects have string keys only, so this cannot fail.
    let mut value = serde_json::to_value(object).unwrap_or(Value::Null);
    if let Some(metadata) = value["metadata"].as_object_mut() {
        for key in ["resourceVersion", "generation"] {
            metadata.remove(key);
        }
        // Of the managers, only our own entry matters, and not its time.
        if let Some(Value::Array(entries)) = metadata.get_mut("managedFields") {
            entries.retain(|entry| {
                entry["manager"] == names::FIELD_MANAGER_INSTALLER && entry["subresource"].is_null()
            });
            for entry in entries {
                entry["time"] = Value::Null;
            }
        }
    }
    value.as_object_mut().map(|object| object.remove("status"));
    value
}

/// Paths at which two values differ, three levels deep: enough to tell people
/// what changes without printing content.
fn differences(one: &Value, other: &Value, path: &str, found: &mut BTreeSet<String>) {
    const DEPTH: usize = 3;
    if one == other {
        return;
    }
    match (one.as_object(), other.as_object()) {
        (Some(one), Some(other)) if path.matches('.').count() < DEPTH => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let (left, right) = (
                    one.get(key).unwrap_or(&Value::Null),
                    other.get(key).unwrap_or(&Value::Null),
                );
                differences(left, right, &format!("{path}.{key}"), found);
            }
        }
        _ => {
            found.insert(path.trim_start_matches('.').to_owned());
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> DynamicObject {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn what_the_server_changes_by_itself_is_no_difference() {
        let live = json!({"apiVersion": "v1", "kind": "A", "status": {"ready": 1}, "metadata": {
            "name": "a", "resourceVersion": "1", "generation": 1,
            "managedFields": [{"manager": "silica", "time": "2026-01-01T00:00:00Z"}, {"manager": "kcm"}]}});
        let applied = json!({"apiVersion": "v1", "kind": "A", "metadata": {
            "name": "a", "resourceVersion": "2", "generation": 2,
            "managedFields": [{"manager": "silica", "time": "2026-01-01T00:00:09Z"}]}});
        assert_eq!(comparable(&object(&live)), comparable(&object(&applied)));
    }

    #[test]
    fn differences_name_paths_never_content() {
        let mut found = BTreeSet::new();
        differences(
            &json!({"data": {"key": "secret-1"}}),
            &json!({"data": {"key": "secret-2"}}),
            "",
            &mut found,
        );
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["data.key"]);
    }

    #[test]
    fn deep_differences_are_cut() {
        let mut found = BTreeSet::new();
        let deep = |value| json!({"spec": {"template": {"spec": {"containers": {"a": value}}}}});
        differences(&deep(1), &deep(2), "", &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["spec.template.spec"]);
    }
}
