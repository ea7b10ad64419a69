//! Text out of the bytes of a file, whatever editor or shell has written it.

use zeroize::{Zeroize as _, Zeroizing};

use super::Error;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a PEM file. UTF-8 with or without a byte order mark and UTF-16 with one are read;
/// bytes that are neither, as in a comment of another code page, become replacement characters.
/// DER and PKCS#12 are an error that says so.
pub fn text(bytes: &[u8]) -> Result<Zeroizing<String>, Error> {
    if let Some(rest) = bytes.strip_prefix(UTF8_MARK) {
        return Ok(lossy(rest));
    }
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0x30, ..] if !contains(bytes, b"-----BEGIN ") => Err(if is_pkcs12(bytes) {
            Error::Pkcs12
        } else {
            Error::Der
        }),
        _ => Ok(lossy(bytes)),
    }
}

fn lossy(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(bytes).into_owned())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Zeroizing<String>, Error> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len()));
    let mut units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| unit([pair[0], pair[1]]))
        .collect();
    for letter in char::decode_utf16(units.iter().copied()) {
        text.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    units.zeroize();
    if bytes.len().is_multiple_of(2) {
        Ok(text)
    } else {
        Err(Error::HalfUtf16)
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// RFC 7292 section 4: a file of PKCS#12 begins with its version, 3, as no certificate and no key
/// does. The sequence around it has up to 5 bytes.
fn is_pkcs12(bytes: &[u8]) -> bool {
    contains(bytes.get(2..8).unwrap_or_default(), &[2, 1, 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_off_and_utf16_is_read() {
        assert_eq!(*text(b"\xef\xbb\xbfabc").unwrap(), "abc");
        assert_eq!(*text(b"\xff\xfea\0b\0").unwrap(), "ab");
        assert_eq!(*text(b"\xfe\xff\0a\0b").unwrap(), "ab");
        assert_eq!(text(b"\xff\xfea"), Err(Error::HalfUtf16));
        assert_eq!(*text(b"caf\xe9").unwrap(), "caf\u{fffd}");
    }

    #[test]
    fn binary_forms_are_told_apart() {
        assert_eq!(text(&[0x30, 0x82, 1, 0, 2, 1, 3, 0]), Err(Error::Pkcs12));
        assert_eq!(text(&[0x30, 0x82, 1, 0, 0x30, 0, 0, 0]), Err(Error::Der));
    }
}
