//! Finds out what applying would do, without writing.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DynamicObject, Patch};
use serde_json::Value;
use silica_api::names;
use silica_manifests::Object;

use super::{Action, Change, Conflicts, Objection, api, params};
use crate::cluster::{CONCURRENCY, Cluster, Error, diff::Difference, found, request};

/// What a comparison of objects found.
#[derive(Debug, Default)]
pub struct Observed {
    /// What would happen to each.
    pub changes: Vec<Change>,
    /// What the server would not take.
    pub objections: Vec<Objection>,
}

/// Finds out what applying would do: every object goes through a server-side dry
/// run, so that defaults, other managers' fields, validation and webhooks count
/// exactly as they would. Nothing can be tried on what is to be created in a
/// namespace, or of a kind, that does not exist yet.
pub async fn observe(
    cluster: &Cluster,
    objects: Vec<Object>,
    conflicts: Conflicts,
) -> Result<Observed, Error> {
    let mut outcomes = stream::iter(objects)
        .map(|object| observe_one(cluster, object, conflicts))
        .buffered(CONCURRENCY);
    let mut observed = Observed::default();
    while let Some(outcome) = outcomes.try_next().await? {
        match outcome {
            Ok(change) => observed.changes.push(change),
            Err(objection) => observed.objections.push(objection),
        }
    }
    Ok(observed)
}

async fn observe_one(
    cluster: &Cluster,
    object: Object,
    conflicts: Conflicts,
) -> Result<Result<Change, Objection>, Error> {
    let api = api(cluster, &object);
    let same = |action| {
        move |object| Change {
            object,
            action,
            paths: Vec::new(),
            difference: None,
        }
    };
    if object.content["immutable"] == true {
        // Its name is made from its content, so what is there is what is wanted. A
        // trial would send a megabyte for nothing.
        let there = api.get_metadata_opt(&object.name).await;
        let there = there.map_err(request("read", object.title()))?;
        let action = if there.is_some() {
            Action::Keep
        } else {
            Action::Create
        };
        return Ok(Ok(same(action)(object)));
    }
    let live = found(api.get(&object.name).await).map_err(request("read", object.title()))?;
    let dry_run = params(conflicts).dry_run();
    let applied = api
        .patch(&object.name, &dry_run, &Patch::Apply(&object.content))
        .await;
    let applied = match applied {
        Ok(applied) => applied,
        Err(kube::Error::Api(answer)) if live.is_none() && cannot_be_tried(answer.code, &answer.message) => {
            return Ok(Ok(same(Action::Create)(object)));
        }
        Err(kube::Error::Api(answer)) => match Objection::of(&object.title(), &answer) {
            Some(objection) => return Ok(Err(objection)),
            None => return Err(request("compare", object.title())(kube::Error::Api(answer))),
        },
        Err(error) => return Err(request("compare", object.title())(error)),
    };
    let Some(live) = live else {
        return Ok(Ok(same(Action::Create)(object)));
    };
    let (live, applied) = (comparable(&live), comparable(&applied));
    let mut paths = BTreeSet::new();
    differences(&live, &applied, "", &mut paths);
    if paths.is_empty() {
        return Ok(Ok(same(Action::Keep)(object)));
    }
    Ok(Ok(Change {
        object,
        action: Action::Update,
        paths: paths.into_iter().collect(),
        difference: Some(Difference::of(&live, &applied)),
    }))
}

/// Whether the answer to the trial of a new object says nothing about the object:
/// its namespace, its kind or a role that it binds comes with the same
/// installation, or a webhook answers real requests only.
fn cannot_be_tried(code: u16, message: &str) -> bool {
    code == 404 || (code == 400 && message.contains("does not support dry run"))
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

    #[test]
    fn what_is_missing_around_a_new_object_is_nothing_against_it() {
        assert!(cannot_be_tried(404, "namespaces \"sandbox-system\" not found"));
        assert!(cannot_be_tried(
            400,
            "admission webhook \"a.example.com\" does not support dry run"
        ));
        assert!(!cannot_be_tried(
            400,
            "strict decoding error: unknown field \"spec.x\""
        ));
        assert!(!cannot_be_tried(422, "spec.replicas: Invalid value"));
    }
}
