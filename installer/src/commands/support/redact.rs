//! Takes out of objects and texts what nobody who helps has to see; no IO.

use std::fmt::Write as _;

use serde_json::{Value, json};
use silica_api::labels;

use crate::cluster::diff::{LAST_APPLIED, is_secret, shorten_data};

/// Stands where something was.
const HIDDEN: &str = "(hidden)";
/// Begin of the API keys that Silica makes; hexadecimal digits follow.
const KEY_PREFIX: &str = "e2b_";
/// Annotations of sandboxes that tell how they came about, and are made by Silica alone.
const TELLING: [&str; 7] = [
    labels::CLAIM_TIMESTAMP,
    labels::NEVER_TIMEOUT,
    labels::ON_TIMEOUT,
    labels::AUTO_RESUME,
    labels::SECURE,
    labels::PRIVATE_TRAFFIC,
    labels::REPLACED_CONTAINER,
];

/// Who wrote an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// The installation, or the cluster: variables that sound secret are hidden.
    Installation,
    /// Users, as with templates and sandboxes: their variables, commands and annotations are hidden.
    Users,
}

/// The object without what is secret and without the bookkeeping of field managers.
pub(super) fn object(mut object: Value, origin: Origin) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    // A node lists every image that it has, of everybody.
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("images");
    }
    walk(&mut object, origin);
    object
}

/// A ConfigMap with the values of what `install` made; of others the keys alone.
pub(super) fn config_map(map: Value) -> Value {
    let mut map = object(map, Origin::Installation);
    if map["metadata"]["labels"][labels::APP_MANAGED_BY] == silica_api::names::PRODUCT {
        shorten_data(&mut map);
        return map;
    }
    for section in ["data", "binaryData"] {
        let values = map.get_mut(section).and_then(Value::as_object_mut);
        for value in values.into_iter().flat_map(|values| values.values_mut()) {
            *value = HIDDEN.into();
        }
    }
    map
}

/// The text without the API keys in it. Silica writes none anywhere; what others write, as
/// proxies do into their errors, is not in its hands.
pub(super) fn text(text: &str) -> String {
    let mut parts = text.split(KEY_PREFIX);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (key, rest) = part.split_at(digits);
        let shown = if digits < 8 { key } else { HIDDEN };
        // Writing to a String cannot fail.
        let _ = write!(result, "{KEY_PREFIX}{shown}{rest}");
    }
    result
}

fn walk(value: &mut Value, origin: Origin) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match (key.as_str(), origin) {
                    (LAST_APPLIED, _) => *value = HIDDEN.into(),
                    ("env", _) => hide_variables(value, origin),
                    ("command" | "args", Origin::Users) if value.is_array() => *value = json!([HIDDEN]),
                    ("annotations", Origin::Users) => hide_annotations(value),
                    _ => walk(value, origin),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, origin)),
        _ => {}
    }
}

fn hide_variables(variables: &mut Value, origin: Origin) {
    for variable in variables.as_array_mut().into_iter().flatten() {
        if origin == Origin::Installation && !is_secret(variable) {
            continue;
        }
        if let Some(value) = variable.get_mut("value") {
            *value = HIDDEN.into();
        }
    }
}

fn hide_annotations(annotations: &mut Value) {
    for (key, value) in annotations.as_object_mut().into_iter().flatten() {
        if !TELLING.contains(&key.as_str()) {
            *value = HIDDEN.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {
                "name": "a", "managedFields": [{}],
                "annotations": {
                    labels::USER_METADATA: "hush", labels::SEALED_ENV: "hush", LAST_APPLIED: "hush",
                    labels::ON_TIMEOUT: "pause"
                }
            },
            "spec": {"containers": [{
                "name": "sandbox", "command": ["sh", "-c", "TOKEN=hush run"], "args": ["hush"],
                "env": [{"name": "PLAIN", "value": "plain"}, {"name": "API_TOKEN", "value": "hush"},
                    {"name": "REFERENCE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "livenessProbe": {"exec": {"command": ["check", "hush"]}}
            }]},
            "status": {"phase": "Running"}
        })
    }

    #[test]
    fn of_users_only_the_shape_is_kept() {
        let seen = object(pod(), Origin::Users);
        let text = seen.to_string();
        assert!(!text.contains("hush") && !text.contains("plain"), "{text}");
        assert_eq!(seen["status"]["phase"], "Running");
        assert_eq!(seen["metadata"]["annotations"][labels::ON_TIMEOUT], "pause");
        let container = &seen["spec"]["containers"][0];
        assert_eq!(container["env"][0]["name"], "PLAIN");
        assert_eq!(container["env"][2]["valueFrom"]["secretKeyRef"]["name"], "s");
        assert!(seen["metadata"].get("managedFields").is_none());
    }

    #[test]
    fn of_the_installation_only_what_sounds_secret_is_hidden() {
        let seen = object(pod(), Origin::Installation);
        let container = &seen["spec"]["containers"][0];
        assert_eq!(container["env"][0]["value"], "plain");
        assert_eq!(container["env"][1]["value"], HIDDEN);
        assert_eq!(container["command"][0], "sh");
        assert_eq!(seen["metadata"]["annotations"][LAST_APPLIED], HIDDEN);
    }

    #[test]
    fn values_of_a_foreign_config_map_are_hidden() {
        let map = |labels: Value| json!({"metadata": {"labels": labels}, "data": {"key": "value"}, "binaryData": {"b": "AQ=="}});
        let ours = config_map(map(json!({labels::APP_MANAGED_BY: "silica"})));
        assert_eq!(ours["data"]["key"], "value");
        let foreign = config_map(map(json!({})));
        assert_eq!(
            (&foreign["data"]["key"], &foreign["binaryData"]["b"]),
            (&HIDDEN.into(), &HIDDEN.into())
        );
    }

    #[test]
    fn keys_are_taken_out_of_texts_and_other_words_stay() {
        let key = format!("e2b_{}", "9c".repeat(20));
        assert_eq!(text(&format!("a {key}, {key}!")), "a e2b_(hidden), e2b_(hidden)!");
        for same in ["", "e2b_", "e2b_python 2.0", "nothing", "e2b_abc e2b_ümlaut"] {
            assert_eq!(text(same), same);
        }
    }
}
