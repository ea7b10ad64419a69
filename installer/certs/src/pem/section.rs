//! Sections of PEM text as people have them: with any line ends, also those that environment
//! variables and CI systems make of them.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::{Error, Label};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// No label is longer: what is comes from a line end that is missing.
const LONGEST_LABEL: usize = 40;

/// Base64 with or without its padding.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One section.
pub(super) struct Section {
    pub(super) label: Label,
    /// Line of its BEGIN, counted from 1.
    pub(super) line: usize,
    /// What is between the lines. Overwritten when dropped.
    pub(super) der: Zeroizing<Vec<u8>>,
    /// Encrypted in the older way, which keeps the plain label (RFC 1421 section 4.6.1.1).
    pub(super) is_sealed: bool,
}

/// What the text between BEGIN and END looks like when it is not base64. Never the text itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Looks {
    /// There is none.
    Empty,
    /// Letters that base64 does not have; the line of the first one.
    Foreign {
        /// Counted from 1 in the whole text.
        line: usize,
    },
    /// Its length cannot be that of base64: letters are missing or too many.
    CutOff,
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is nothing between BEGIN and END"),
            Self::Foreign { line } => write!(f, "line {line} has letters that base64 does not have"),
            Self::CutOff => f.write_str("letters are missing: its length is not that of base64"),
        }
    }
}

/// All sections in their order; text around them is ignored.
pub(super) fn sections(text: &str) -> Result<Vec<Section>, Error> {
    let mut found = Vec::new();
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut at = 0;
    while let Some(begin) = find_marker(text, at, &mut lines)? {
        let line = lines.of(begin);
        let rest = &text[begin + BEGIN.len()..];
        let words = label(rest).ok_or(Error::Begin { line })?;
        let label = Label::of(words);
        let body = begin + BEGIN.len() + words.len() + DASHES.len();
        let end = format!("{END}{words}{DASHES}");
        let length = text[body..].find(&end).ok_or(Error::NoEnd { label, line })?;
        // The END may be that of a later section.
        if text[body..body + length].contains(BEGIN) {
            return Err(Error::NoEnd { label, line });
        }
        found.push(section(label, line, text, body, length)?);
        at = body + length + end.len();
    }
    Ok(found)
}

/// Where the next BEGIN is. A marker that is damaged is an error: nothing is left out silently.
fn find_marker(text: &str, from: usize, lines: &mut Lines<'_>) -> Result<Option<usize>, Error> {
    let rest = &text[from..];
    let begin = rest.find(BEGIN);
    let damaged = ["-BEGIN ", "-END "]
        .into_iter()
        .filter_map(|marker| rest.find(marker))
        .min();
    match (begin, damaged) {
        // The good one holds the other, four dashes further on.
        (Some(begin), Some(other)) if other >= begin + DASHES.len() - 1 => Ok(Some(from + begin)),
        (_, Some(other)) => Err(Error::Begin {
            line: lines.of(from + other),
        }),
        (_, None) => Ok(None),
    }
}

/// The words in front of the closing dashes.
fn label(rest: &str) -> Option<&str> {
    let end = rest
        .find(DASHES)
        .filter(|end| (1..=LONGEST_LABEL).contains(end))?;
    let words = &rest[..end];
    let is_word =
        |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || " #.".contains(letter);
    words.chars().all(is_word).then_some(words)
}

fn section(label: Label, line: usize, text: &str, body: usize, length: usize) -> Result<Section, Error> {
    let content = plain_line_ends(&text[body..body + length]);
    let mut is_sealed = false;
    let mut letters = Zeroizing::new(String::with_capacity(content.len()));
    let mut foreign = None;
    for (index, row) in content.split('\n').enumerate() {
        // Headers of RFC 1421; base64 has no colon.
        if row.contains(':') && letters.is_empty() {
            is_sealed |= row.contains("Proc-Type:") && row.contains("ENCRYPTED");
            continue;
        }
        for letter in row.chars().filter(|letter| !letter.is_whitespace()) {
            if letter.is_ascii_alphanumeric() || "+/=".contains(letter) {
                letters.push(letter);
            } else {
                foreign = foreign.or(Some(line + index));
            }
        }
    }
    let looks = match foreign {
        Some(line) => Looks::Foreign { line },
        None if letters.is_empty() => Looks::Empty,
        None => Looks::CutOff,
    };
    let damaged = Error::Base64 {
        label,
        line,
        length: letters.len(),
        looks,
    };
    // The headers may have taken everything with them when line ends are missing.
    if foreign.is_some() || letters.is_empty() && !is_sealed {
        return Err(damaged);
    }
    let der = DECODER.decode(letters.as_bytes()).map_err(|_| damaged)?;
    Ok(Section {
        label,
        line,
        der: Zeroizing::new(der),
        is_sealed,
    })
}

/// One kind of line end: CR LF and CR become LF, and so do the two characters `\n`, as environment
/// variables and JSON carry them. Base64 has no backslash, so none is lost.
fn plain_line_ends(text: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' => {
                letters.next_if_eq(&'\n');
                plain.push('\n');
            }
            '\\' if matches!(letters.peek(), Some('n' | 'r')) => {
                letters.next();
                plain.push('\n');
            }
            other => plain.push(other),
        }
    }
    plain
}

/// Counts lines on the way through a text, each letter once.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a position, counted from 1. Positions must not go back.
    fn of(&mut self, position: usize) -> usize {
        let bytes = self.text.as_bytes();
        let is_end = |index: &usize| match bytes[*index] {
            b'\n' => true,
            b'\r' => bytes.get(index + 1) != Some(&b'\n'),
            _ => false,
        };
        self.line += (self.at..position).filter(is_end).count();
        self.at = position.max(self.at);
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAQID\nBAUG\n-----END PRIVATE KEY-----\n";

    fn read(text: &str) -> Vec<u8> {
        let sections = sections(text).unwrap();
        assert_eq!(sections.len(), 1, "{text:?}");
        sections[0].der.to_vec()
    }

    #[test]
    fn any_line_ends_are_read() {
        for end in ["\n", "\r\n", "\r", "\\n", "\\r\\n", " ", "", "\n\n", "\t"] {
            assert_eq!(read(&KEY.replace('\n', end)), [1, 2, 3, 4, 5, 6], "{end:?}");
        }
        assert_eq!(
            read(&format!("\"{}\"", KEY.replace('\n', "\\n"))),
            [1, 2, 3, 4, 5, 6]
        );
    }

    #[test]
    fn glued_sections_are_all_found() {
        let glued = KEY.trim_end().repeat(3);
        let found = sections(&format!("a comment\n{glued}")).unwrap();
        assert_eq!(found.iter().map(|one| one.line).collect::<Vec<_>>(), [2, 5, 8]);
    }

    #[test]
    fn damage_is_placed_and_never_quoted() {
        let error = |text: &str| sections(text).map(drop).unwrap_err();
        assert_eq!(
            error("x\n-----BEGIN PRIVATE KEY\nAQID\n"),
            Error::Begin { line: 2 }
        );
        assert_eq!(
            error("----BEGIN PRIVATE KEY-----\nAQID\n"),
            Error::Begin { line: 1 }
        );
        assert_eq!(error("\n-----END PRIVATE KEY-----"), Error::Begin { line: 2 });
        let label = Label::PrivateKey;
        assert_eq!(
            error(&KEY.replace("-----END PRIVATE KEY-----", "")),
            Error::NoEnd { label, line: 1 }
        );
        let foreign = Looks::Foreign { line: 3 };
        let base64 = |looks, length| Error::Base64 {
            label,
            line: 1,
            length,
            looks,
        };
        assert_eq!(error(&KEY.replace("BAUG", "B*UG")), base64(foreign, 7));
        assert_eq!(error(&KEY.replace("BAUG", "B")), base64(Looks::CutOff, 5));
        assert_eq!(error(&KEY.replace("AQID\nBAUG\n", "")), base64(Looks::Empty, 0));
    }

    #[test]
    fn older_encryption_is_seen_behind_any_line_ends() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQID\n-----END RSA PRIVATE KEY-----\n";
        for end in ["\n", "\r\n", "\\n"] {
            let found = sections(&text.replace('\n', end)).unwrap();
            assert!(found[0].is_sealed, "{end:?}");
        }
    }
}
