//! The JSON lines of an execution.

use std::fmt::Write as _;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// One line of the stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    /// The kernel accepted the cell.
    NumberOfExecutions(i64),
    /// Output of the cell.
    Stdout(String),
    /// Error output of the cell.
    Stderr(String),
    /// A value or a display.
    Result {
        fields: Map<String, Value>,
        is_main: bool,
    },
    /// The cell failed.
    Error {
        name: String,
        value: String,
        traceback: String,
    },
    /// Nothing happened for a while.
    Keepalive,
    /// The last line.
    End,
}

impl Line {
    /// An error of our own making.
    pub(super) fn failure(name: &str, value: impl Into<String>) -> Self {
        Self::Error {
            name: name.to_owned(),
            value: value.into(),
            traceback: String::new(),
        }
    }

    /// The line with its line feed, in ASCII: some clients decode each network
    /// chunk for itself and would damage a character that is split between two.
    pub(super) fn render(self) -> Bytes {
        let now = || Timestamp::now().to_string();
        let value = match self {
            Self::NumberOfExecutions(count) => {
                json!({"type": "number_of_executions", "execution_count": count})
            }
            Self::Stdout(text) => json!({"type": "stdout", "text": text, "timestamp": now()}),
            Self::Stderr(text) => json!({"type": "stderr", "text": text, "timestamp": now()}),
            Self::Result { mut fields, is_main } => {
                fields.insert("type".to_owned(), "result".into());
                fields.insert("is_main_result".to_owned(), is_main.into());
                Value::Object(fields)
            }
            Self::Error {
                name,
                value,
                traceback,
            } => {
                json!({"type": "error", "name": name, "value": value, "traceback": traceback})
            }
            Self::Keepalive => json!({"type": "keepalive"}),
            Self::End => json!({"type": "end_of_execution"}),
        };
        let mut line = escape(&value.to_string());
        line.push('\n');
        Bytes::from(line)
    }
}

/// Escapes everything but ASCII; in JSON text such characters occur in strings only.
fn escape(json: &str) -> String {
    if json.is_ascii() {
        return json.to_owned();
    }
    let mut escaped = String::with_capacity(json.len() + json.len() / 2);
    let mut units = [0; 2];
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_ascii_json_with_one_line_feed() {
        let line = Line::failure("E\n", "\u{e9} \u{1f600}").render();
        assert!(line.is_ascii());
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["value"], "\u{e9} \u{1f600}");
        assert_eq!(value["traceback"], "");
    }

    #[test]
    fn output_has_a_timestamp() {
        let value: Value = serde_json::from_slice(&Line::Stdout("x".into()).render()).unwrap();
        assert!(value["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    }

    #[test]
    fn results_are_marked() {
        let line = Line::Result {
            fields: Map::new(),
            is_main: true,
        }
        .render();
        assert_eq!(
            serde_json::from_slice::<Value>(&line).unwrap(),
            json!({"type": "result", "is_main_result": true})
        );
    }
}
