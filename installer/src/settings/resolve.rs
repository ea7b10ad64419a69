//! One value for each parameter, out of all sources.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{
    Error,
    layer::{Given, Layer, Origin},
    parameter::{self, Parameter, parameters},
    values::Values,
};

/// Every parameter with its value and where that comes from.
#[derive(Clone)]
pub struct Resolved {
    by_key: Layer,
}

/// A value that differs from the one of the former run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ValueChange {
    /// The key.
    pub key: &'static str,
    /// Former value, null for none.
    pub from: Value,
    /// New value, null for none.
    pub to: Value,
    /// Who wants it.
    pub origin: Origin,
}

impl Resolved {
    /// Lays the sources over the defaults; a later one wins, value by value.
    pub fn of(layers: impl IntoIterator<Item = Layer>) -> Self {
        let mut by_key: Layer = parameters()
            .iter()
            .map(|parameter| {
                let given = Given {
                    value: parameter.default.clone(),
                    origin: Origin::Default,
                };
                (parameter.key.as_str(), given)
            })
            .collect();
        for layer in layers {
            by_key.extend(layer);
        }
        Self { by_key }
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.by_key.keys().copied()
    }

    /// Where the value of a key comes from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.by_key
            .get(key)
            .map_or(&Origin::Default, |given| &given.origin)
    }

    /// The value of a key; null when there is none.
    pub fn value(&self, key: &str) -> &Value {
        self.by_key.get(key).map_or(&Value::Null, |given| &given.value)
    }

    /// The typed form of all values.
    pub fn values(&self) -> Result<Values, Error> {
        let mut tree = Map::new();
        for (key, given) in self.by_key.iter().filter(|(_, given)| !given.value.is_null()) {
            parameter::insert(&mut tree, key, given.value.clone());
        }
        serde_json::from_value(Value::Object(tree)).map_err(Error::Typed)
    }

    /// What is kept in the cluster: every value that was chosen and is no secret.
    pub fn kept(&self) -> Map<String, Value> {
        let mut tree = Map::new();
        for (parameter, given) in self.rows() {
            if given.origin != Origin::Default && !parameter.is_secret && !given.value.is_null() {
                parameter::insert(&mut tree, &parameter.key, given.value.clone());
            }
        }
        tree
    }

    /// How the values differ from those that a former run kept.
    pub fn changes_since(&self, former: &Layer) -> Vec<ValueChange> {
        let changes = self.rows().filter(|(parameter, _)| !parameter.is_secret);
        changes
            .filter_map(|(parameter, given)| {
                let from = former
                    .get(parameter.key.as_str())
                    .map_or(&parameter.default, |given| &given.value);
                (*from != given.value).then(|| ValueChange {
                    key: &parameter.key,
                    from: from.clone(),
                    to: given.value.clone(),
                    origin: given.origin.clone(),
                })
            })
            .collect()
    }

    /// A table for people. `all` includes the defaults.
    pub fn describe(&self, all: bool) -> String {
        let rows: Vec<[String; 3]> = self
            .rows()
            .filter(|(_, given)| all || given.origin != Origin::Default)
            .map(|(parameter, given)| {
                [
                    parameter.key.clone(),
                    shown(parameter, given),
                    given.origin.to_string(),
                ]
            })
            .collect();
        let width = |column: usize| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let (keys, values) = (width(0), width(1).min(40));
        rows.iter()
            .map(|[key, value, origin]| format!("  {key:keys$}  {value:values$}  {origin}"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// A table for programs.
    pub fn to_json(&self) -> Value {
        self.rows()
            .map(|(parameter, given)| {
                let value = if parameter.is_secret {
                    json!(!given.value.is_null())
                } else {
                    given.value.clone()
                };
                let (kind, place) = match &given.origin {
                    Origin::Default => ("default", Value::Null),
                    Origin::Cluster => ("cluster", Value::Null),
                    Origin::File { file, line } => ("file", format!("{file}:{line}").into()),
                    Origin::Variable(name) => ("env", name.as_str().into()),
                    Origin::Flag(name) => ("flag", format!("--{name}").into()),
                };
                json!({"key": parameter.key, "value": value, "secret": parameter.is_secret,
                       "origin": kind, "place": place})
            })
            .collect()
    }

    fn rows(&self) -> impl Iterator<Item = (&'static Parameter, &Given)> {
        parameters()
            .iter()
            .filter_map(|parameter| Some((parameter, self.by_key.get(parameter.key.as_str())?)))
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(true))
    }
}

fn shown(parameter: &Parameter, given: &Given) -> String {
    match &given.value {
        Value::Null => "-".into(),
        _ if parameter.is_secret => "(hidden)".into(),
        value => match super::show(value) {
            text if text.is_empty() => "-".into(),
            text => text,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::layer;

    fn layers() -> [Layer; 4] {
        let kept = json!({"controller": {"logLevel": 2, "replicaCount": 3}, "expose": ["direct"], "nodeSelector": {"a": "1"}});
        let file = "controller: {logLevel: 3}\nsandboxManager: {replicaCount: 5}\nnodeSelector: {b: '2'}\ne2b: {adminApiKey: hush-hush-hush}";
        let flags = [("log-level".to_owned(), vec!["5".to_owned()])].into();
        [
            layer::of_cluster(kept.as_object().unwrap()).0,
            layer::of_file("silica.yaml".as_ref(), file).unwrap(),
            layer::of_environment(|name| {
                ["SILICA_LOG_LEVEL", "SILICA_MANAGER_REPLICAS"]
                    .contains(&name)
                    .then(|| "4".into())
            })
            .unwrap(),
            layer::of_flags(&flags).unwrap(),
        ]
    }

    #[test]
    fn flag_wins_over_variable_over_file_over_cluster_over_default() {
        let resolved = Resolved::of(layers());
        let told = |key| format!("{} {}", resolved.value(key), resolved.origin(key));
        assert_eq!(told("controller.logLevel"), "5 flag --log-level");
        assert_eq!(
            told("sandboxManager.replicaCount"),
            "4 variable SILICA_MANAGER_REPLICAS"
        );
        // A map is one value: it is not mixed from two sources.
        assert_eq!(told("nodeSelector"), "{\"b\":\"2\"} silica.yaml:3");
        assert_eq!(told("controller.replicaCount"), "3 kept in the cluster");
        assert_eq!(told("templates.replicas"), "2 default");
        assert_eq!(resolved.values().unwrap().controller.log_level, 5);
    }

    #[test]
    fn every_chosen_value_is_kept_but_no_secret() {
        let kept = Resolved::of(layers()).kept();
        assert_eq!(
            Value::Object(kept),
            json!({"controller": {"logLevel": 5, "replicaCount": 3}, "expose": ["direct"],
                   "nodeSelector": {"b": "2"}, "sandboxManager": {"replicaCount": 4}})
        );
    }

    #[test]
    fn the_next_run_starts_from_what_was_kept() {
        let first = Resolved::of(layers());
        let (kept, unknown) = layer::of_cluster(&first.kept());
        assert!(unknown.is_empty());
        let second = Resolved::of([kept.clone()]);
        assert_eq!(second.kept(), first.kept());
        assert!(second.changes_since(&kept).is_empty());
    }

    #[test]
    fn changes_name_old_and_new_value_and_who_wants_it() {
        let [kept, ..] = layers();
        let flags = [("log-level".to_owned(), vec!["5".to_owned()])].into();
        let resolved = Resolved::of([kept.clone(), layer::of_flags(&flags).unwrap()]);
        let changes = resolved.changes_since(&kept);
        assert_eq!(changes.len(), 1);
        assert_eq!(
            (changes[0].key, &changes[0].from, &changes[0].to),
            ("controller.logLevel", &json!(2), &json!(5))
        );
    }

    #[test]
    fn secrets_are_never_shown() {
        let resolved = Resolved::of(layers());
        assert!(!resolved.describe(true).contains("hush"));
        assert!(!resolved.to_json().to_string().contains("hush"));
        assert!(resolved.describe(true).contains("(hidden)"));
    }
}
