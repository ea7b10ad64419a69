//! Who said what: the values of one source, with the place of each.

mod node;

use std::{collections::BTreeMap, fmt, path::Path};

use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use self::node::Node;
use super::{
    Error,
    parameter::{self, Parameter, parameters},
};

/// Where a value comes from. Later ones win.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// An earlier run, which left it in the cluster.
    Cluster,
    /// A line of the settings file.
    File {
        /// The file, as it was named.
        file: String,
        /// Counted from one.
        line: u64,
    },
    /// An environment variable.
    Variable(String),
    /// A flag, or the file that a flag names.
    Flag(String),
}

impl Origin {
    /// Whether this run said it, rather than a former one or nobody.
    pub const fn is_given(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Variable(_) | Self::Flag(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Cluster => f.write_str("kept in the cluster"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// A value and where it comes from. No `Debug`: it may be a secret.
#[derive(Clone)]
pub struct Given {
    /// In the one form of its kind; null takes a value away.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// The values of one source, by key.
pub type Layer = BTreeMap<&'static str, Given>;

/// Reads a settings file.
pub fn of_file(path: &Path, text: &str) -> Result<Layer, Error> {
    let file = path.display().to_string();
    let tree: Node = serde_saphyr::from_str::<Option<Node>>(text)
        .map_err(|error| Error::ParseFile {
            path: path.to_owned(),
            why: crate::cluster::yaml::place(&error),
        })?
        .unwrap_or(Node::Map(Vec::new()));
    let mut layer = Layer::new();
    let Node::Map(entries) = tree else {
        return Err(Error::ParseFile {
            path: path.to_owned(),
            why: "it must consist of keys and values".into(),
        });
    };
    read_entries(&entries, "", &file, &mut layer)?;
    Ok(layer)
}

fn read_entries(
    entries: &[(Spanned<String>, Node)],
    path: &str,
    file: &str,
    layer: &mut Layer,
) -> Result<(), Error> {
    for (name, node) in entries {
        let key = if path.is_empty() {
            name.value.clone()
        } else {
            format!("{path}.{}", name.value)
        };
        let origin = Origin::File {
            file: file.to_owned(),
            line: name.referenced.line(),
        };
        if let Some(parameter) = parameter::of_key(&key) {
            let value = accept(parameter, &node.to_value(), &origin)?;
            layer.insert(&parameter.key, Given { value, origin });
            continue;
        }
        let branch = format!("{key}.");
        let is_branch = parameters().iter().any(|one| one.key.starts_with(&branch));
        match node {
            Node::Map(entries) if is_branch => read_entries(entries, &key, file, layer)?,
            // `ingress:` with nothing below says nothing.
            Node::Leaf(Value::Null) if is_branch => {}
            _ if is_branch => {
                return Err(Error::Value {
                    origin,
                    key,
                    expected: "a group of keys".into(),
                    found: super::show(&node.to_value()),
                });
            }
            _ => {
                return Err(Error::UnknownKey {
                    origin,
                    nearest: parameter::nearest(&key),
                    key,
                });
            }
        }
    }
    Ok(())
}

fn accept(parameter: &Parameter, value: &Value, origin: &Origin) -> Result<Value, Error> {
    if value.is_null() && parameter.is_optional {
        return Ok(Value::Null);
    }
    parameter
        .kind
        .accept(value)
        .ok_or_else(|| refused(parameter, &super::show(value), origin))
}

fn refused(parameter: &Parameter, found: &str, origin: &Origin) -> Error {
    Error::Value {
        origin: origin.clone(),
        key: parameter.key.clone(),
        expected: parameter.kind.expected(),
        found: if parameter.is_secret {
            "what was given".into()
        } else {
            found.to_owned()
        },
    }
}

/// Reads the environment. An empty variable counts as none.
pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Layer, Error> {
    let mut layer = Layer::new();
    for parameter in parameters() {
        let Some(text) = variable(&parameter.env).filter(|text| !text.is_empty()) else {
            continue;
        };
        let origin = Origin::Variable(parameter.env.clone());
        let value = parameter
            .kind
            .of_variable(&text)
            .ok_or_else(|| refused(parameter, &text, &origin))?;
        layer.insert(&parameter.key, Given { value, origin });
    }
    Ok(layer)
}

/// Reads the flags: by the name of each, the texts that were given. An empty
/// text takes an optional value away.
pub fn of_flags(flags: &BTreeMap<String, Vec<String>>) -> Result<Layer, Error> {
    let mut layer = Layer::new();
    for parameter in parameters() {
        let Some((flag, texts)) = parameter.flag.as_ref().and_then(|flag| flags.get_key_value(flag)) else {
            continue;
        };
        let origin = Origin::Flag(flag.clone());
        let is_empty = texts.last().is_none_or(String::is_empty);
        let value = if is_empty && parameter.is_optional {
            Value::Null
        } else {
            parameter
                .kind
                .of_flag(texts)
                .ok_or_else(|| refused(parameter, &texts.join(", "), &origin))?
        };
        layer.insert(&parameter.key, Given { value, origin });
    }
    Ok(layer)
}

/// Reads what an earlier run left in the cluster. Keys and values that this
/// version does not know are left out, and named: they come from another version.
pub fn of_cluster(tree: &Map<String, Value>) -> (Layer, Vec<String>) {
    let mut layer = Layer::new();
    let mut unknown = Vec::new();
    read_tree(tree, "", &mut layer, &mut unknown);
    (layer, unknown)
}

fn read_tree(tree: &Map<String, Value>, path: &str, layer: &mut Layer, unknown: &mut Vec<String>) {
    for (name, value) in tree {
        let key = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let known = parameter::of_key(&key).map(|parameter| (parameter, parameter.kind.accept(value)));
        match (known, value) {
            (Some((parameter, Some(value))), _) => {
                let origin = Origin::Cluster;
                layer.insert(&parameter.key, Given { value, origin });
            }
            (None, Value::Object(branch)) => read_tree(branch, &key, layer, unknown),
            _ => unknown.push(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(text: &str) -> Result<Layer, Error> {
        of_file(Path::new("silica.yaml"), text)
    }

    #[test]
    fn every_value_of_a_file_knows_its_line() {
        let layer =
            file("# first\ne2b:\n  domain: a.b\n\nproxy: {resources: {requests: {cpu: 2}}}\n").unwrap();
        assert_eq!(layer["e2b.domain"].value, json!(["a.b"]));
        assert_eq!(layer["e2b.domain"].origin.to_string(), "silica.yaml:3");
        assert_eq!(layer["proxy.resources.requests.cpu"].value, "2");
        assert_eq!(
            layer["proxy.resources.requests.cpu"].origin.to_string(),
            "silica.yaml:5"
        );
        assert!(file("").unwrap().is_empty());
        assert!(file("ingress:\n").unwrap().is_empty());
    }

    #[test]
    fn a_misspelt_key_is_refused_with_its_line_and_the_nearest_known_one() {
        let error = file("controller: {logLevel: 1}\ne2b:\n  domian: a.b\n")
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "silica.yaml:3: there is no parameter e2b.domian; did you mean e2b.domain?"
        );
    }

    #[test]
    fn a_wrong_type_is_refused_with_what_is_expected() {
        let told = |text: &str| file(text).err().unwrap().to_string();
        assert_eq!(
            told("sandboxManager:\n  replicaCount: three\n"),
            "silica.yaml:2: sandboxManager.replicaCount must be a whole number from 1 to 100, not three"
        );
        assert_eq!(
            told("expose: [gate]"),
            "silica.yaml:1: expose must be a list of ingress, direct, gateway, not gate"
        );
        assert_eq!(
            told("e2b: a.b"),
            "silica.yaml:1: e2b must be a group of keys, not a.b"
        );
        assert!(told("- a").contains("keys and values"));
        assert!(told("a: [").contains("silica.yaml"));
        assert!(!told("e2b: {adminApiKey: [hush]}").contains("hush"));
    }

    #[test]
    fn variables_and_flags_are_named_in_errors() {
        let layer = of_environment(|name| (name == "SILICA_LOG_LEVEL").then(|| "9".into()));
        assert_eq!(
            layer.err().unwrap().to_string(),
            "variable SILICA_LOG_LEVEL: controller.logLevel must be a whole number from 1 to 5, not 9"
        );
        let flags = [("node-selector".to_owned(), vec!["disk".to_owned()])].into();
        assert_eq!(
            of_flags(&flags).err().unwrap().to_string(),
            "flag --node-selector: nodeSelector must be keys with text values, not disk"
        );
    }

    #[test]
    fn an_empty_variable_is_none_and_an_empty_flag_takes_a_value_away() {
        assert!(of_environment(|_| Some(String::new())).unwrap().is_empty());
        let flags = [("ingress-class".to_owned(), vec![String::new()])].into();
        assert!(of_flags(&flags).unwrap()["ingress.className"].value.is_null());
        assert!(
            file("ingress: {className: null}").unwrap()["ingress.className"]
                .value
                .is_null()
        );
    }

    #[test]
    fn what_another_version_kept_is_left_out_and_named() {
        let kept = json!({"e2b": {"domain": ["a.b"], "later": 1}, "proxy": {"resources": {"requests": {"cpu": []}}}});
        let (layer, unknown) = of_cluster(kept.as_object().unwrap());
        assert_eq!(layer.keys().collect::<Vec<_>>(), [&"e2b.domain"]);
        assert_eq!(unknown, ["e2b.later", "proxy.resources.requests.cpu"]);
    }
}
