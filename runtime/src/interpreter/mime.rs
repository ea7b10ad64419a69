//! Turns the MIME bundle of a kernel into the fields of a result.

use serde_json::{Map, Value};

/// MIME types that have a field of their own.
const FIELDS: [(&str, &str); 12] = [
    ("text/plain", "text"),
    ("text/html", "html"),
    ("text/markdown", "markdown"),
    ("image/svg+xml", "svg"),
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("application/pdf", "pdf"),
    ("text/latex", "latex"),
    ("application/json", "json"),
    ("application/javascript", "javascript"),
    ("e2b/data", "data"),
    ("e2b/chart", "chart"),
];

/// Fields of a result; other MIME types end up in `extra`.
pub(super) fn choose_fields(bundle: &Value) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut extra = Map::new();
    for (mime, value) in bundle.as_object().into_iter().flatten() {
        let value = if mime == "application/json" {
            value.clone()
        } else {
            join_lines(value)
        };
        match FIELDS.iter().find(|(known, _)| known == mime) {
            // A chart that could not be described is none.
            Some((_, "chart")) if value.as_object().is_some_and(Map::is_empty) => {}
            Some((_, "text")) => {
                let text = value.as_str().map(|text| Value::from(strip_quotes(text)));
                fields.insert("text".to_owned(), text.unwrap_or(value));
            }
            Some((_, field)) => {
                fields.insert((*field).to_owned(), value);
            }
            None => {
                extra.insert(mime.clone(), value);
            }
        }
    }
    if !extra.is_empty() {
        fields.insert("extra".to_owned(), Value::Object(extra));
    }
    fields
}

/// The protocol permits a list of lines in place of a string.
fn join_lines(value: &Value) -> Value {
    match value.as_array() {
        Some(lines) if !lines.is_empty() && lines.iter().all(Value::is_string) => {
            lines.iter().filter_map(Value::as_str).collect::<String>().into()
        }
        _ => value.clone(),
    }
}

/// The representation of a string is shown without its quotes.
fn strip_quotes(text: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_types_have_fields_and_others_are_extra() {
        let fields = choose_fields(&json!({
            "text/plain": "'x'", "image/png": "AA==", "e2b/data": {"a": [1]}, "application/x": 1,
        }));
        let expected = json!({"text": "x", "png": "AA==", "data": {"a": [1]}, "extra": {"application/x": 1}});
        assert_eq!(Value::Object(fields), expected);
    }

    #[test]
    fn nothing_left_means_no_extra_and_an_empty_chart_is_none() {
        let fields = choose_fields(&json!({"text/plain": "1", "e2b/chart": {}}));
        assert_eq!(Value::Object(fields), json!({"text": "1"}));
    }

    #[test]
    fn only_matching_outer_quotes_are_removed() {
        assert_eq!(strip_quotes("'a'"), "a");
        assert_eq!(strip_quotes("\"a'\""), "a'");
        assert_eq!(strip_quotes("'a\""), "'a\"");
        assert_eq!(strip_quotes("'"), "'");
    }
}
