//! The smallest merge patch (RFC 7396) from one status to another.

use serde::Serialize;
use serde_json::{Map, Value};

/// The patch that turns `old` into `new`, or `None` when they are equal.
/// Fields that vanish become `null`, which a merge patch reads as a removal.
pub(crate) fn diff<T: Serialize>(old: &T, new: &T) -> Result<Option<Value>, serde_json::Error> {
    let (old, new) = (serde_json::to_value(old)?, serde_json::to_value(new)?);
    Ok(if old == new {
        None
    } else {
        Some(changes(&old, new))
    })
}

fn changes(old: &Value, new: Value) -> Value {
    let (old, new) = match (old, new) {
        (Value::Object(old), Value::Object(new)) => (old, new),
        (_, new) => return new,
    };
    let mut patch: Map<String, Value> = old
        .keys()
        .filter(|key| !new.contains_key(*key))
        .map(|key| (key.clone(), Value::Null))
        .collect();
    for (key, value) in new {
        match old.get(&key) {
            Some(same) if *same == value => {}
            Some(differing) => {
                patch.insert(key, changes(differing, value));
            }
            None => {
                patch.insert(key, value);
            }
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_values_need_no_patch() {
        assert_eq!(diff(&json!({"a": [1]}), &json!({"a": [1]})).unwrap(), None);
    }

    #[test]
    fn only_differences_are_sent_and_removals_are_null() {
        let old = json!({"phase": "Running", "ip": "10.0.0.1", "pod": {"uid": "1", "node": "a"}});
        let new = json!({"phase": "Failed", "pod": {"uid": "1"}});
        assert_eq!(
            diff(&old, &new).unwrap(),
            Some(json!({"phase": "Failed", "ip": null, "pod": {"node": null}}))
        );
    }
}
