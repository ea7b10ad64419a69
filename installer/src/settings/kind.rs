//! What values a parameter takes, and how texts and trees become such values.

use serde_json::{Map, Value};

/// Kind of a parameter's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A whole number within a range.
    Number {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// True or false.
    Switch,
    /// One of these words.
    Choice(Vec<String>),
    /// A Kubernetes quantity.
    Quantity,
    /// Any text.
    Text,
    /// Several texts, or several of these words.
    List(Option<Vec<String>>),
    /// Keys with text values.
    Map,
}

impl Kind {
    /// Reads the kind from the JSON schema of a leaf.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        if let Some(words) = words(schema) {
            return Some(Self::Choice(words));
        }
        if schema["format"] == "quantity" {
            return Some(Self::Quantity);
        }
        let kinds = types(schema);
        let is = |name: &str| kinds.contains(&name);
        if is("integer") {
            let bound = |name: &str, other| schema[name].as_u64().unwrap_or(other);
            Some(Self::Number {
                min: bound("minimum", 0),
                max: bound("maximum", u64::from(u32::MAX)),
            })
        } else if is("boolean") {
            Some(Self::Switch)
        } else if is("array") {
            Some(Self::List(words(&schema["items"])))
        } else if is("object") {
            Some(Self::Map)
        } else if is("string") {
            Some(Self::Text)
        } else {
            None
        }
    }

    /// Whether the schema of a leaf allows it to be null.
    pub(super) fn is_optional(schema: &Value) -> bool {
        types(schema).contains(&"null")
            || schema["anyOf"]
                .as_array()
                .is_some_and(|some| some.iter().any(Self::is_optional))
    }

    /// What a value has to be, as the end of "must be ...".
    pub fn expected(&self) -> String {
        match self {
            Self::Number { min, max } if *max == u64::from(u32::MAX) => {
                format!("a whole number from {min} on")
            }
            Self::Number { min, max } => format!("a whole number from {min} to {max}"),
            Self::Switch => "true or false".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Quantity => "a quantity such as 500m or 2Gi".into(),
            Self::Text => "a text".into(),
            Self::List(None) => "a list of texts".into(),
            Self::List(Some(words)) => format!("a list of {}", words.join(", ")),
            Self::Map => "keys with text values".into(),
        }
    }

    /// What the value is called in help texts.
    pub(super) const fn value_name(&self) -> &'static str {
        match self {
            Self::Number { .. } => "N",
            Self::Switch => "BOOL",
            Self::Quantity => "QUANTITY",
            Self::Map => "KEY=VALUE",
            Self::Choice(_) | Self::Text | Self::List(_) => "TEXT",
        }
    }

    /// The words that are allowed, for completions and help texts.
    pub(super) fn words(&self) -> Option<Vec<&str>> {
        match self {
            Self::Choice(words) | Self::List(Some(words)) => Some(words.iter().map(String::as_str).collect()),
            Self::Switch => Some(vec!["true", "false"]),
            _ => None,
        }
    }

    /// A value from texts: those of a flag, one each time that it was given.
    pub fn of_flag(&self, texts: &[String]) -> Option<Value> {
        match self {
            Self::List(_) => {
                let items = texts.iter().flat_map(|text| text.split(','));
                let items = items.map(str::trim).filter(|item| !item.is_empty());
                self.accept(&items.collect())
            }
            Self::Map => {
                let mut map = Map::new();
                for text in texts.iter().filter(|text| !text.is_empty()) {
                    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty())?;
                    map.insert(key.to_owned(), value.into());
                }
                Some(Value::Object(map))
            }
            _ => self.of_text(texts.last()?),
        }
    }

    /// A value from an environment variable. Pairs are separated by commas;
    /// where values have commas themselves, the whole may be a JSON object.
    pub fn of_variable(&self, text: &str) -> Option<Value> {
        match self {
            Self::Map if text.trim_start().starts_with('{') => self.accept(&serde_json::from_str(text).ok()?),
            Self::Map => {
                let pairs: Vec<String> = text.split(',').map(|pair| pair.trim().to_owned()).collect();
                self.of_flag(&pairs)
            }
            _ => self.of_flag(&[text.to_owned()]),
        }
    }

    fn of_text(&self, text: &str) -> Option<Value> {
        match self {
            Self::Number { .. } => self.accept(&text.parse::<u64>().ok()?.into()),
            Self::Switch => self.accept(&text.parse::<bool>().ok()?.into()),
            _ => self.accept(&text.into()),
        }
    }

    /// A value as it is in a tree, brought into its one form; `None` when it is
    /// not allowed.
    pub fn accept(&self, value: &Value) -> Option<Value> {
        match self {
            Self::Number { min, max } => {
                let number = value.as_u64()?;
                (*min..=*max).contains(&number).then(|| number.into())
            }
            Self::Switch => value.as_bool().map(Value::Bool),
            Self::Choice(words) => word(words, value.as_str()?),
            Self::Quantity => {
                let text = match value {
                    Value::Number(number) => number.to_string(),
                    other => other.as_str()?.to_owned(),
                };
                is_quantity(&text).then(|| text.into())
            }
            Self::Text => value.as_str().map(Value::from),
            Self::List(words) => {
                if let Some(text) = value.as_str() {
                    return self.of_flag(&[text.to_owned()]);
                }
                let items = value.as_array()?.iter().map(|item| {
                    let text = item.as_str()?;
                    match words {
                        Some(words) => word(words, text),
                        None => Some(text.into()),
                    }
                });
                items.collect::<Option<Vec<Value>>>().map(Value::Array)
            }
            Self::Map => {
                let pairs = value.as_object()?.iter().map(|(key, value)| {
                    let text = match value {
                        Value::String(text) => text.clone(),
                        // What YAML takes for a number or a truth value.
                        Value::Number(_) | Value::Bool(_) => value.to_string(),
                        _ => return None,
                    };
                    Some((key.clone(), Value::String(text)))
                });
                pairs.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
        }
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The words of an enumeration, however the schema writes it.
fn words(schema: &Value) -> Option<Vec<String>> {
    if let Some(word) = schema["const"].as_str() {
        return Some(vec![word.to_owned()]);
    }
    let list = ["enum", "oneOf", "anyOf"]
        .iter()
        .find_map(|name| schema[name].as_array())?;
    let found: Vec<String> = list
        .iter()
        .flat_map(|one| match one.as_str() {
            Some(word) => vec![word.to_owned()],
            None => words(one).unwrap_or_default(),
        })
        .collect();
    (!found.is_empty()).then_some(found)
}

/// A word of the list, whatever its case.
fn word(words: &[String], text: &str) -> Option<Value> {
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
    found.map(|word| word.as_str().into())
}

/// Accepts what the API server accepts: digits, at most one dot, a known suffix.
fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 14] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi",
    ];
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let mut parts = number.split('.');
    let digits = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
    let is_number = digits(parts.next()) && (!number.contains('.') || digits(parts.next()));
    is_number && parts.next().is_none() && SUFFIXES.contains(&suffix)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_follow_kubernetes() {
        for good in ["1", "50m", "0.5", "64Mi", "4Gi", "2G"] {
            assert!(is_quantity(good), "{good:?}");
        }
        for bad in ["", "m", "1 Gi", "1GB", "-1", "1e400", ".5", "1.", "1.2.3", "nan"] {
            assert!(!is_quantity(bad), "{bad:?}");
        }
        assert_eq!(Kind::Quantity.accept(&json!(2)), Some(json!("2")));
        assert_eq!(Kind::Quantity.accept(&json!(0.5)), Some(json!("0.5")));
    }

    #[test]
    fn the_range_of_a_number_includes_its_ends() {
        let kind = Kind::Number { min: 1, max: 5 };
        let accepted = |text: &str| kind.of_flag(&[text.to_owned()]);
        assert_eq!((accepted("1"), accepted("5")), (Some(json!(1)), Some(json!(5))));
        for bad in ["0", "6", "-1", "1.0", "x", ""] {
            assert_eq!(accepted(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn words_are_found_whatever_their_case() {
        let kind = Kind::Choice(vec!["NodePort".into()]);
        assert_eq!(kind.of_variable("nodeport"), Some(json!("NodePort")));
        assert_eq!(kind.accept(&json!("Port")), None);
        let list = Kind::List(Some(vec!["ingress".into(), "direct".into()]));
        assert_eq!(
            list.of_variable("ingress, Direct"),
            Some(json!(["ingress", "direct"]))
        );
        assert_eq!(list.accept(&json!(["gate"])), None);
    }

    #[test]
    fn pairs_come_from_flags_variables_and_trees() {
        let flags = ["a=1=2".to_owned(), "b=".to_owned()];
        assert_eq!(Kind::Map.of_flag(&flags), Some(json!({"a": "1=2", "b": ""})));
        assert_eq!(
            Kind::Map.of_variable("a=1, b=2"),
            Some(json!({"a": "1", "b": "2"}))
        );
        assert_eq!(
            Kind::Map.of_variable("{\"a\": \"1,2\"}"),
            Some(json!({"a": "1,2"}))
        );
        assert_eq!(Kind::Map.accept(&json!({"a": true})), Some(json!({"a": "true"})));
        for bad in ["a", "=b"] {
            assert_eq!(Kind::Map.of_flag(&[bad.to_owned()]), None, "{bad}");
        }
        // An empty flag takes all pairs away.
        assert_eq!(Kind::Map.of_flag(&[String::new()]), Some(json!({})));
    }
}
