//! The difference between an object in the cluster and the same object as it
//! would be, as a unified diff of YAML that gives no secret away.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use silica_manifests::{Object, YamlError, document};
use similar::TextDiff;

use silica_oci::Digest;

/// Unchanged lines that are shown around a change.
const CONTEXT: usize = 3;
/// Data of a ConfigMap beyond this many bytes is told by size and hash.
const LONG: usize = 1024;
/// Hexadecimal digits of that hash.
const HASH_DIGITS: usize = 12;
/// Parts of the names of variables whose values nobody wants on a screen.
const SECRET_NAMES: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSW", "CREDENTIAL", "AUTH"];
/// Holds the whole object again, values of Secrets included.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Both versions of one object, without anything that is secret. So it may be
/// printed, logged and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    live: Value,
    applied: Value,
}

impl Difference {
    /// Hides what is secret, shortens what is long, and leaves out the bookkeeping
    /// of the server. A hidden value still tells whether it changes.
    pub fn of(live: &Value, applied: &Value) -> Self {
        let mut hidden = Hidden::default();
        for version in [live, applied] {
            hidden.find_references(version, &mut Vec::new());
        }
        // The live version first: what the other one has otherwise is the change.
        let [live, applied] = [live, applied].map(|version| {
            let mut version = version.clone();
            leave_out_bookkeeping(&mut version);
            match version["kind"].as_str() {
                Some("Secret") => hidden.hide_data(&mut version),
                Some("ConfigMap") => shorten_data(&mut version),
                _ => {}
            }
            hidden.walk(&mut version, &mut Vec::new());
            version
        });
        Self { live, applied }
    }

    /// The unified diff, with one line end at its end; empty when only bookkeeping differs.
    pub fn render(&self, object: &Object) -> Result<String, YamlError> {
        let text = |content: &Value| {
            document(&Object {
                content: content.clone(),
                ..object.clone()
            })
        };
        let (live, applied) = (text(&self.live)?, text(&self.applied)?);
        let title = object.title();
        let diff = TextDiff::from_lines(&live, &applied);
        let mut unified = diff.unified_diff();
        unified.context_radius(CONTEXT);
        unified.header(&format!("{title} (in the cluster)"), &format!("{title} (wanted)"));
        Ok(unified.to_string())
    }
}

fn leave_out_bookkeeping(version: &mut Value) {
    if let Some(metadata) = version["metadata"].as_object_mut() {
        for key in ["managedFields", "uid", "creationTimestamp", "selfLink"] {
            metadata.remove(key);
        }
    }
}

/// Tells long values of a ConfigMap by size and hash.
pub(crate) fn shorten_data(version: &mut Value) {
    for section in ["data", "binaryData"] {
        let entries = version.get_mut(section).and_then(Value::as_object_mut);
        for value in entries.into_iter().flat_map(|entries| entries.values_mut()) {
            let Some(text) = value.as_str().filter(|text| text.len() > LONG) else {
                continue;
            };
            let mut hash = Digest::of(text.as_bytes()).hex();
            hash.truncate(HASH_DIGITS);
            *value = format!("({} bytes, SHA-256 {hash}...)", text.len()).into();
        }
    }
}

type Path = Vec<String>;

/// What was hidden, by its place, so that the second version can be told from the first.
#[derive(Default)]
struct Hidden {
    seen: BTreeMap<Path, Value>,
    /// Variables that either version takes from a Secret.
    referring: BTreeSet<Path>,
}

impl Hidden {
    fn hide(&mut self, path: &Path, value: &mut Value) {
        let first = self.seen.entry(path.clone()).or_insert_with(|| value.clone());
        let text = if first == value {
            "(hidden)"
        } else {
            "(hidden, changed)"
        };
        *value = text.into();
    }

    fn hide_data(&mut self, version: &mut Value) {
        for section in ["data", "stringData"] {
            let entries = version.get_mut(section).and_then(Value::as_object_mut);
            for (key, value) in entries.into_iter().flatten() {
                self.hide(&vec![section.to_owned(), key.clone()], value);
            }
        }
    }

    /// Notes the variables whose value the version takes from a Secret.
    fn find_references(&mut self, value: &Value, path: &mut Path) {
        if !value["valueFrom"]["secretKeyRef"].is_null() {
            self.referring.insert(path.clone());
        }
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    path.push(key.clone());
                    self.find_references(value, path);
                    path.pop();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(place(item, index));
                    self.find_references(item, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// Hides variables and annotations anywhere below.
    fn walk(&mut self, value: &mut Value, path: &mut Path) {
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    path.push(key.clone());
                    if key == LAST_APPLIED {
                        self.hide(path, value);
                    } else {
                        self.walk(value, path);
                    }
                    path.pop();
                }
            }
            Value::Array(items) => {
                let is_environment = path.last().is_some_and(|key| key == "env");
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(place(item, index));
                    if is_environment && (is_secret(item) || self.referring.contains(path)) {
                        if let Some(value) = item.get_mut("value") {
                            self.hide(path, value);
                        }
                    } else {
                        self.walk(item, path);
                    }
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

/// Items that have a name keep their place when others come before them.
fn place(item: &Value, index: usize) -> String {
    match item["name"].as_str() {
        Some(name) => name.to_owned(),
        None => index.to_string(),
    }
}

/// Whether the name of a variable sounds as if its value were secret.
pub(crate) fn is_secret(variable: &Value) -> bool {
    let name = variable["name"].as_str().unwrap_or_default().to_ascii_uppercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use kube::core::{ApiResource, GroupVersionKind};
    use serde_json::json;

    use super::*;

    fn diff(kind: &str, live: &Value, applied: &Value) -> String {
        let with_kind = |value: &Value| {
            let mut value = value.clone();
            value["kind"] = kind.into();
            value["apiVersion"] = "v1".into();
            value
        };
        let object = Object {
            resource: ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind)),
            namespace: Some("n".into()),
            name: "a".into(),
            content: Value::Null,
        };
        let difference = Difference::of(&with_kind(live), &with_kind(applied));
        let text = difference.render(&object).unwrap();
        // What is kept is as harmless as what is shown.
        assert!(!format!("{difference:?}").contains("cGFzc3"), "{difference:?}");
        text
    }

    #[test]
    fn a_change_is_shown_at_any_depth_with_what_is_around_it() {
        let version = |port: u16| {
            json!({"metadata": {"name": "a", "uid": "1", "managedFields": [{"manager": "silica"}]},
            "spec": {"template": {"spec": {"containers": [
                {"name": "proxy", "image": "i", "ports": [{"containerPort": port}]}]}}}})
        };
        let text = diff("Deployment", &version(443), &version(8443));
        assert!(
            text.starts_with("--- Deployment n/a (in the cluster)\n+++ Deployment n/a (wanted)\n@@ "),
            "{text}"
        );
        assert!(text.contains("containerPort: 443\n"), "{text}");
        assert!(
            text.lines()
                .any(|line| line.starts_with('+') && line.ends_with("containerPort: 8443")),
            "{text}"
        );
        assert!(!text.contains("managedFields"), "{text}");
    }

    #[test]
    fn bookkeeping_alone_is_no_difference() {
        let version = |uid: &str| json!({"metadata": {"name": "a", "uid": uid, "managedFields": [uid]}});
        assert_eq!(diff("Service", &version("1"), &version("2")), "");
    }

    #[test]
    fn of_secrets_only_whether_they_change_is_shown() {
        let version = |first: &str| {
            json!({"metadata": {"annotations": {LAST_APPLIED: first}},
                "data": {"first": first, "second": "cGFzc3dvcmQ="}, "stringData": {"third": "cGFzc3dvcmQ="}})
        };
        let text = diff("Secret", &version("cGFzc3dvcmQx"), &version("cGFzc3dvcmQy"));
        assert!(!text.contains("cGFzc3"), "{text}");
        assert!(
            text.contains("-  first: (hidden)\n+  first: (hidden, changed)\n"),
            "{text}"
        );
        assert!(text.contains("   second: (hidden)\n"), "{text}");
        assert_eq!(text.matches("changed").count(), 2, "{text}");
    }

    #[test]
    fn variables_that_hold_secrets_are_hidden_and_others_are_not() {
        let version = |env: Value| json!({"spec": {"containers": [{"name": "c", "env": env}]}});
        let text = diff(
            "Pod",
            &version(json!([
                {"name": "LEVEL", "value": "info"},
                {"name": "API_TOKEN", "value": "cGFzc3dvcmQx"},
                {"name": "SEED", "value": "cGFzc3dvcmQy"}])),
            &version(json!([
                {"name": "LEVEL", "value": "debug"},
                {"name": "API_TOKEN", "value": "cGFzc3dvcmQz"},
                {"name": "SEED", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])),
        );
        assert!(!text.contains("cGFzc3"), "{text}");
        assert!(text.contains("debug") && text.contains("secretKeyRef"), "{text}");
        assert!(text.contains("(hidden, changed)"), "{text}");
    }

    #[test]
    fn long_data_is_told_by_its_hash() {
        let version = |letter: &str| json!({"data": {"long": letter.repeat(5000), "short": letter}});
        let text = diff("ConfigMap", &version("a"), &version("b"));
        assert!(text.len() < 500, "{text}");
        assert_eq!(text.matches("(5000 bytes, SHA-256 ").count(), 2, "{text}");
        assert!(text.contains("+  short: b\n"), "{text}");
    }
}
