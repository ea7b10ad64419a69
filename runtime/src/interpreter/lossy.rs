//! Reads JSON of programs whose text need not be Unicode: a file name that is not UTF-8 in an error of
//! Python, half of a surrogate pair in one of JavaScript. What is none becomes U+FFFD.

use serde_json::Value;

/// Reads a JSON text; `None` when it is none even so.
pub(super) fn parse(bytes: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Some(value);
    }
    let text = String::from_utf8_lossy(bytes);
    serde_json::from_str(&replace_unpaired(&text)).ok()
}

/// The text with escapes of U+FFFD in place of those of surrogates without their other half.
fn replace_unpaired(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\\') {
        let (before, escape) = rest.split_at(start);
        replaced.push_str(before);
        let (kept, length) = match unit(escape) {
            Some(0xd800..0xdc00) if is_low(escape.get(6..)) => (true, 12),
            Some(0xd800..0xe000) => (false, 6),
            // The backslash and the character that it escapes.
            _ => (true, 1 + escape[1..].chars().next().map_or(0, char::len_utf8)),
        };
        let (escape, others) = escape.split_at(length);
        replaced.push_str(if kept { escape } else { "\\ufffd" });
        rest = others;
    }
    replaced.push_str(rest);
    replaced
}

/// The UTF-16 unit of an escape `\uXXXX` at the start of a text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_low(text: Option<&str>) -> bool {
    text.and_then(unit)
        .is_some_and(|unit| (0xdc00..0xe000).contains(&unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_unicode_is_read_all_the_same() {
        for (bytes, expected) in [
            (&b"\"bad \xff name\""[..], "bad \u{fffd} name"),
            (br#""a\ud800b""#, "a\u{fffd}b"),
            (br#""a\udcffb""#, "a\u{fffd}b"),
            (br#""\ud800\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (br#""\ud800\u0041""#, "\u{fffd}A"),
            (br#""\ud800""#, "\u{fffd}"),
            (br#""\\ud800 \ud800""#, "\\ud800 \u{fffd}"),
        ] {
            assert_eq!(parse(bytes), Some(Value::from(expected)), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for bytes in [&b""[..], b"\"\\", b"\"\\ud8", b"\"\\u\xc3\xa9", b"{"] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }
}
