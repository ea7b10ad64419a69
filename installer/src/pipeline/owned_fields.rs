//! The part of an object that one field manager set by server-side apply.
//!
//! Format: FieldsV1 of the structured-merge-diff library, as stored in
//! `metadata.managedFields`: an object whose keys are `f:NAME` (a field), `k:{...}`
//! (a list item with these keys), `v:VALUE` (an item of a set) and `.` (the thing itself).

use serde_json::{Map, Value};

/// What `manager` applied, without status: applying it again restores exactly that.
/// `None` when the manager applied nothing.
pub(crate) fn extract(object: &Value, manager: &str) -> Option<Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let entry = entries.iter().find(|entry| {
        entry["manager"] == manager && entry["operation"] == "Apply" && entry["subresource"].is_null()
    })?;
    let mut owned = pick(object, &entry["fieldsV1"]);
    let fields = owned.as_object_mut()?;
    for key in ["apiVersion", "kind"] {
        fields.insert(key.to_owned(), object[key].clone());
    }
    let metadata = fields
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()?;
    for key in ["name", "namespace"] {
        if let Some(value) = object["metadata"].get(key) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    Some(owned)
}

/// The parts of `value` that `fields` names; all of it when it names no part.
fn pick(value: &Value, fields: &Value) -> Value {
    let parts: Vec<(&String, &Value)> = fields
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != ".")
        .collect();
    match value {
        Value::Object(members) if !parts.is_empty() => Value::Object(
            parts
                .into_iter()
                .filter_map(|(key, below)| {
                    let name = key.strip_prefix("f:")?;
                    Some((name.to_owned(), pick(members.get(name)?, below)))
                })
                .collect(),
        ),
        // In the order of the list, which the API server keeps.
        Value::Array(items) if !parts.is_empty() => Value::Array(
            items
                .iter()
                .filter_map(|item| {
                    let (_, below) = parts.iter().find(|(key, _)| names(key, item))?;
                    // Keys are among the fields, but for those with a default that was left out.
                    Some(pick(item, below))
                })
                .collect(),
        ),
        // Only the thing itself is owned, not what others put into it.
        Value::Object(_) if fields.get(".").is_some() => Value::Object(Map::new()),
        Value::Array(_) if fields.get(".").is_some() => Value::Array(Vec::new()),
        _ => value.clone(),
    }
}

/// Whether a part of a list's fields means this item.
fn names(key: &str, item: &Value) -> bool {
    if let Some(keys) = key
        .strip_prefix("k:")
        .and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok())
    {
        return keys.iter().all(|(name, value)| item.get(name) == Some(value));
    }
    key.strip_prefix("v:")
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .is_some_and(|value| value == *item)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7",
                "labels": {"ours": "1", "theirs": "2"}, "finalizers": ["x", "y"],
                "managedFields": [
                    {"manager": "kubelet", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
                    {"manager": "silica", "operation": "Apply", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:ours": {}}, "f:finalizers": {"v:\"y\"": {}}},
                        "f:spec": {"f:strategy": {".": {}}, "f:template": {"f:containers": {
                            "k:{\"name\":\"main\"}": {".": {}, "f:name": {}, "f:args": {}}}}}}}]},
            "spec": {"replicas": 3, "strategy": {"type": "RollingUpdate"},
                "template": {"containers": [
                    {"name": "side", "image": "b"},
                    {"name": "main", "args": ["--x"], "terminationMessagePath": "/dev/x"}]}},
            "status": {"replicas": 1}
        })
    }

    #[test]
    fn only_what_the_manager_applied_is_taken() {
        assert_eq!(
            extract(&object(), "silica").unwrap(),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "a", "namespace": "n", "labels": {"ours": "1"}, "finalizers": ["y"]},
                "spec": {"strategy": {}, "template": {"containers": [{"name": "main", "args": ["--x"]}]}}
            })
        );
    }

    #[test]
    fn a_manager_that_applied_nothing_owns_nothing() {
        assert_eq!(extract(&object(), "kubelet"), None);
        assert_eq!(extract(&object(), "nobody"), None);
    }

    #[test]
    fn items_of_lists_with_several_keys_are_told_apart() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "managedFields": [
            {"manager": "silica", "operation": "Apply", "fieldsV1": {"f:spec": {"f:ports": {
                "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:targetPort": {}}}}}}]},
            "spec": {"ports": [{"port": 80, "protocol": "UDP", "targetPort": 1},
                {"port": 80, "protocol": "TCP", "targetPort": 2, "nodePort": 30000}]}});
        assert_eq!(
            extract(&service, "silica").unwrap()["spec"]["ports"],
            json!([{"port": 80, "targetPort": 2}])
        );
    }
}
