//! The parameters as a list, derived from the schema of [`super::Values`].

use std::{fmt::Write as _, sync::LazyLock};

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{
    kind::Kind,
    values::{QUANTITY_PATTERN, Values},
};

/// Where the published schema is found in the repository.
pub const SCHEMA_FILE: &str = "docs/config.schema.json";
/// Where the reference is found in the repository.
pub const REFERENCE_FILE: &str = "docs/settings.md";

/// One parameter: a leaf of the settings file.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Path in the settings file, for example `sandboxManager.replicaCount`.
    pub key: String,
    /// One line for people.
    pub about: String,
    /// What values are allowed.
    pub kind: Kind,
    /// Value when nobody gives one; null when there is none.
    pub default: Value,
    /// Whether it may be without a value.
    pub is_optional: bool,
    /// Whether it is never printed and never kept in the cluster.
    pub is_secret: bool,
    /// The flag without dashes. Secrets have none: every user of a machine can
    /// read the arguments of its processes.
    pub flag: Option<String>,
    /// One letter for the same flag.
    pub short: Option<char>,
    /// Environment variable.
    pub env: String,
    /// What the value is called in help texts.
    pub value_name: String,
    /// Section of the help text.
    pub heading: String,
}

/// All parameters, in the order of their keys.
pub fn parameters() -> &'static [Parameter] {
    static ALL: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
        let mut found = Vec::new();
        collect(&generate(), "", &mut found);
        found
    });
    &ALL
}

/// The parameter of a key.
pub fn of_key(key: &str) -> Option<&'static Parameter> {
    parameters().iter().find(|parameter| parameter.key == key)
}

/// The key that a misspelt one probably means: the nearest whole key or, for a
/// single word, the nearest last part.
pub fn nearest(key: &str) -> Option<&'static str> {
    /// Fewer characters in common than this is a guess.
    const LIKE: f64 = 0.7;
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_lowercase();
    let score = |known: &str| {
        let whole = strsim::jaro_winkler(&known.to_lowercase(), &key.to_lowercase());
        // Half of the value: the right name at the wrong place.
        let part = strsim::jaro_winkler(&last(known), &last(key)) - 0.05;
        whole.max(part)
    };
    let best = parameters()
        .iter()
        .map(|parameter| (score(&parameter.key), parameter.key.as_str()))
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= LIKE).then_some(best.1)
}

/// The JSON schema of the settings file, for editors and pipelines.
pub fn schema() -> Value {
    let mut schema = generate();
    tidy(&mut schema);
    schema
}

/// The reference in Markdown: one row a parameter.
pub fn reference() -> String {
    let mut text = String::from(
        "# Settings\n\n\
         Generated from the definitions in `installer/src/settings/values/mod.rs` by `silica config reference`; do not edit.\n\
         [Install](install.md#parameters) says which of flag, variable and file wins, and what is kept in the cluster.\n\n\
         | Key in the settings file | Flag | Variable | Value | Default | Meaning |\n|---|---|---|---|---|---|\n",
    );
    for parameter in parameters() {
        let flag = match (&parameter.flag, parameter.short) {
            (Some(flag), Some(short)) => format!("`-{short}`, `--{flag}`"),
            (Some(flag), None) => format!("`--{flag}`"),
            (None, _) => String::new(),
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {flag} | `{}` | {} | {} | {} |",
            parameter.key,
            parameter.env,
            parameter.kind.expected(),
            match &parameter.default {
                value if value.is_null() || super::show(value).is_empty() => String::new(),
                value => format!("`{}`", super::show(value)),
            },
            parameter.about,
        );
    }
    text
}

fn generate() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Values>();
    schema.to_value()
}

fn collect(schema: &Value, path: &str, found: &mut Vec<Parameter>) {
    let Some(properties) = schema["properties"].as_object() else {
        found.extend(parameter(schema, path));
        return;
    };
    for (name, property) in properties {
        let key = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        collect(property, &key, found);
    }
}

fn parameter(schema: &Value, key: &str) -> Option<Parameter> {
    let text = |name: &str| schema[name].as_str().map(str::to_owned);
    let flag = text("x-flag");
    let kind = Kind::of(schema)?;
    Some(Parameter {
        key: key.to_owned(),
        about: text("description").unwrap_or_default(),
        default: schema["default"].clone(),
        is_optional: Kind::is_optional(schema),
        is_secret: schema["x-secret"] == true,
        short: text("x-short").and_then(|short| short.chars().next()),
        env: match (text("x-env"), &flag) {
            (Some(env), _) => env,
            (None, Some(flag)) => variable(flag),
            (None, None) => return None,
        },
        value_name: text("x-value").unwrap_or_else(|| kind.value_name().to_owned()),
        heading: text("x-heading").unwrap_or_default(),
        flag,
        kind,
    })
}

fn variable(flag: &str) -> String {
    format!("SILICA_{}", flag.to_uppercase().replace('-', "_"))
}

/// Adds the variable of each flag, and leaves out what readers of the schema
/// have no use for.
fn tidy(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        if object.get("default") == Some(&Value::Null) {
            object.remove("default");
        }
        for name in ["x-short", "x-value", "x-heading"] {
            object.remove(name);
        }
        if let Some(flag) = object.get("x-flag").and_then(Value::as_str).map(str::to_owned) {
            object.entry("x-env").or_insert_with(|| variable(&flag).into());
        }
        if object.get("format").is_some_and(|format| format == "quantity") {
            object.insert("pattern".into(), QUANTITY_PATTERN.into());
        }
        object.values_mut().for_each(tidy);
    } else if let Some(array) = schema.as_array_mut() {
        array.iter_mut().for_each(tidy);
    }
}

/// Puts a value at its path into a tree of objects.
pub(super) fn insert(tree: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            tree.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let branch = tree.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Some(branch) = branch.as_object_mut() {
                insert(branch, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_leaf_of_the_schema_is_a_parameter_with_a_flag_of_its_own() {
        fn leaves(schema: &Value) -> usize {
            match schema["properties"].as_object() {
                Some(properties) => properties.values().map(leaves).sum(),
                None => 1,
            }
        }
        assert_eq!(parameters().len(), leaves(&generate()));
        let flags: BTreeSet<_> = parameters().iter().filter_map(|one| one.flag.clone()).collect();
        let secrets = parameters().iter().filter(|one| one.is_secret).count();
        assert_eq!(flags.len() + secrets, parameters().len());
        for one in parameters() {
            assert!(!one.about.is_empty() && !one.heading.is_empty(), "{}", one.key);
            assert!(one.is_secret == one.flag.is_none(), "{}", one.key);
        }
    }

    #[test]
    fn the_parameters_of_the_product_guide_are_there_with_their_names() {
        for (key, flag) in [
            ("sandboxManager.replicaCount", "manager-replicas"),
            ("e2b.domain", "domain"),
            ("e2b.enableAuth", "auth"),
            ("controller.logLevel", "log-level"),
            ("controller.resources.requests.cpu", "controller-cpu"),
            ("controller.resources.requests.memory", "controller-memory"),
            ("proxy.resources.requests.cpu", "proxy-cpu"),
            ("proxy.resources.requests.memory", "proxy-memory"),
            ("ingress.className", "ingress-class"),
        ] {
            assert_eq!(of_key(key).unwrap().flag.as_deref(), Some(flag), "{key}");
        }
        assert_eq!(of_key("e2b.adminApiKey").unwrap().env, "SILICA_ADMIN_KEY");
        assert_eq!(of_key("sandboxManager.replicaCount").unwrap().default, 3);
        assert_eq!(of_key("expose").unwrap().default, serde_json::json!(["ingress"]));
    }

    #[test]
    fn a_misspelt_key_finds_the_one_that_was_meant() {
        for (wrong, meant) in [
            ("e2b.domian", "e2b.domain"),
            ("domain", "e2b.domain"),
            ("sandboxmanager.replicaCount", "sandboxManager.replicaCount"),
            ("ingress.class", "ingress.className"),
            ("controller.loglevel", "controller.logLevel"),
        ] {
            assert_eq!(nearest(wrong), Some(meant), "{wrong}");
        }
        assert_eq!(nearest("xyzzy"), None);
    }
}
