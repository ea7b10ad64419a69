//! The command line.

use alloc::{string::String, vec::Vec};
use core::fmt;

/// Digits of a SHA-256.
const HEX_DIGITS: usize = 64;

/// Why the command line is not understood.
#[derive(Debug, Eq, PartialEq)]
pub enum Error {
    /// An argument is missing.
    Missing(&'static str),
    /// A flag has no value.
    Value(String),
    /// Unknown, or there twice.
    Unexpected(String),
    /// The digest is not one.
    Sha256,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "{what} is missing"),
            Self::Value(flag) => write!(f, "{flag} needs a value"),
            Self::Unexpected(word) => write!(f, "{word} is unknown or there twice"),
            Self::Sha256 => write!(f, "--sha256 must be {HEX_DIGITS} lower-case hex digits"),
        }?;
        f.write_str("; expected: silica-loader CHUNKS --sha256 HEX --into FILE [-- COMMAND ...]")
    }
}

/// What is asked for.
#[derive(Debug, Eq, PartialEq)]
pub struct Args {
    /// Folder with the chunks.
    pub chunks: String,
    /// SHA-256 of the unpacked executable, lower-case hex.
    pub sha256: String,
    /// File to write.
    pub into: String,
    /// What to become afterwards; nothing when empty.
    pub command: Vec<String>,
}

impl Args {
    /// Reads the arguments behind the program's name.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, Error> {
        let mut words = words.into_iter();
        let (mut chunks, mut sha256, mut into) = (None, None, None);
        let mut command = Vec::new();
        while let Some(word) = words.next() {
            let slot = match word.as_str() {
                "--" => {
                    command.extend(words);
                    break;
                }
                "--sha256" => &mut sha256,
                "--into" => &mut into,
                _ if !word.starts_with('-') && chunks.is_none() => {
                    chunks = Some(word);
                    continue;
                }
                _ => return Err(Error::Unexpected(word)),
            };
            let Some(value) = words.next() else {
                return Err(Error::Value(word));
            };
            if slot.replace(value).is_some() {
                return Err(Error::Unexpected(word));
            }
        }
        let sha256: String = sha256.ok_or(Error::Missing("--sha256"))?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if sha256.len() != HEX_DIGITS || !sha256.bytes().all(is_hex) {
            return Err(Error::Sha256);
        }
        Ok(Self {
            chunks: chunks.ok_or(Error::Missing("CHUNKS"))?,
            sha256,
            into: into.ok_or(Error::Missing("--into"))?,
            command,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString};

    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn parse(line: &str) -> Result<Args, Error> {
        Args::parse(line.split(' ').map(ToString::to_string))
    }

    #[test]
    fn what_follows_two_dashes_is_the_command() {
        let args = parse(&format!("/c --sha256 {DIGEST} --into /b/x -- /b/x --into /y")).unwrap();
        assert_eq!((args.chunks.as_str(), args.into.as_str()), ("/c", "/b/x"));
        assert_eq!(args.command, ["/b/x", "--into", "/y"]);
    }

    #[test]
    fn incomplete_and_unknown_arguments_are_refused_by_name() {
        let said = |line: &str| parse(line).unwrap_err().to_string();
        assert!(said(&format!("/c --sha256 {DIGEST}")).starts_with("--into is missing"));
        assert!(said(&format!("/c --sha256 {DIGEST} --into")).starts_with("--into needs a value"));
        assert!(said("/c /d").starts_with("/d is unknown or there twice"));
        assert!(said("--invented").starts_with("--invented is unknown"));
        assert_eq!(parse("/c --sha256 abc --into /x"), Err(Error::Sha256));
    }
}
