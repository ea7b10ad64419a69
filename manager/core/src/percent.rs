//! Percent-encoding (RFC 3986 section 2.1) and form pairs.

use std::borrow::Cow;

/// Decodes `%XX`; malformed escapes stay as they are, bytes that are not UTF-8
/// become U+FFFD.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| Some(hex_digit(*bytes.get(at + 1)?)? << 4 | hex_digit(*bytes.get(at + 2)?)?))
            .flatten();
        if let Some(byte) = escape {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// The pairs of an `application/x-www-form-urlencoded` text, decoded once.
pub fn form_pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form_decode(key), form_decode(value))
    })
}

fn form_decode(text: &str) -> String {
    decode(&text.replace('+', " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_malformed_ones_kept() {
        assert_eq!(decode("a%20b%C3%a9"), "a bé");
        for same in ["plain", "100%", "%zz", "%4"] {
            assert_eq!(decode(same), same);
        }
        assert_eq!(decode("%ff"), "\u{fffd}");
    }

    #[test]
    fn form_pairs_decode_plus_and_tolerate_missing_values() {
        let pairs: Vec<_> = form_pairs("a=1+2&b&&c=%2B").collect();
        let expected = [("a", "1 2"), ("b", ""), ("c", "+")];
        assert_eq!(
            pairs,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }
}
