//! Objects as YAML documents, and the files that are committed under `yaml/`.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};
use silica_api::{names, ports};

use crate::{DirectService, Images, IngressOptions, Object, Options, Phase, TemplateOptions, objects};

/// How to refresh the committed files.
pub const REFRESH_COMMAND: &str = "cargo run -p silica-manifests --bin generate";

const HEADER: &str = "# Generated with example options, do not edit. Refresh: ";

/// An object cannot be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {title} as YAML")]
pub struct Error {
    title: String,
    #[source]
    source: serde_saphyr::SerializeError,
}

/// Puts `apiVersion`, `kind` and `metadata` in front, as people expect it.
struct Ordered<'a>(&'a Map<String, Value>);

const FIRST: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for key in FIRST {
            if let Some(value) = self.0.get(key) {
                map.serialize_entry(key, value)?;
            }
        }
        for (key, value) in self.0.iter().filter(|(key, _)| !FIRST.contains(&key.as_str())) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// One object as a YAML document without separator.
pub fn document(object: &Object) -> Result<String, Error> {
    let empty = Map::new();
    let content = object.content.as_object().unwrap_or(&empty);
    serde_saphyr::to_string(&Ordered(content)).map_err(|source| Error {
        title: object.title(),
        source,
    })
}

/// Objects as one stream of YAML documents.
pub fn documents<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Result<String, Error> {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&document(object)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// The committed files: name and content, one per phase that has objects.
pub fn generated() -> Result<Vec<(String, String)>, Error> {
    let bag = objects(&example());
    Phase::ALL
        .into_iter()
        .filter(|phase| bag.of_phase(*phase).next().is_some())
        .enumerate()
        .map(|(index, phase)| {
            let body = documents(bag.of_phase(phase))?;
            Ok((
                format!("{index}0-{}.yaml", phase.name()),
                format!("{HEADER}{REFRESH_COMMAND}\n{body}"),
            ))
        })
        .collect()
}

/// Options that show every object.
fn example() -> Options {
    let version = env!("CARGO_PKG_VERSION");
    let images = Images {
        manager: names::local_image(names::MANAGER_IMAGE, version),
        runtime: names::local_image(names::RUNTIME_IMAGE, version),
    };
    // Literals of the right form, so the fallbacks are never taken.
    let Ok(domain) = "sandbox.example.com".parse() else {
        unreachable!("the example domain is valid")
    };
    let Ok(namespace) = "default".parse() else {
        unreachable!("the example namespace is valid")
    };
    Options {
        ingress: Some(IngressOptions {
            class: Some("nginx".into()),
            ..IngressOptions::default()
        }),
        direct: Some(DirectService::default()),
        templates: Some(TemplateOptions {
            namespace,
            replicas: 2,
            base_image: names::local_image("base", "example"),
            code_interpreter_image: Some(names::local_image("code-interpreter", "example")),
            interpreter: ports::INTERPRETER,
        }),
        ..Options::new(domain, images)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn committed_files_are_fresh() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
        for (name, content) in generated().unwrap() {
            let committed = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
            assert!(
                committed == content,
                "manifests/yaml/{name} is stale; run: {REFRESH_COMMAND}"
            );
        }
    }

    #[test]
    fn what_is_written_reads_back_unchanged() {
        for object in objects(&example()).iter() {
            let text = document(object).unwrap();
            let back: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(back, object.content, "{}", object.title());
        }
    }

    #[test]
    fn texts_that_look_like_other_types_stay_texts() {
        let mut object = objects(&example())
            .find("Namespace", names::NAMESPACE)
            .unwrap()
            .clone();
        for text in [
            "0", "true", "off", "1.5", "null", "~", "*.a.b", "1e3", "0x10", "yes", "- a", "a: b", "# c", "",
        ] {
            object.content["metadata"]["annotations"] = serde_json::json!({ "key": text });
            let back: Value = serde_saphyr::from_str(&document(&object).unwrap()).unwrap();
            assert_eq!(back["metadata"]["annotations"]["key"], text);
        }
    }

    #[test]
    fn a_document_starts_with_its_type() {
        let bag = objects(&example());
        let text = document(bag.find("Namespace", names::NAMESPACE).unwrap()).unwrap();
        assert!(
            text.starts_with("apiVersion: v1\nkind: Namespace\nmetadata:\n"),
            "{text}"
        );
    }
}
