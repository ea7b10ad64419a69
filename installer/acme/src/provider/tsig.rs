//! Keys that sign updates (TSIG, RFC 8945), and why a server does not take a
//! signature.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hickory_proto::rr::{
    TSigner,
    rdata::tsig::{TsigAlgorithm, TsigError},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::dns::{self, absolute};

/// How far the clocks may be apart, in seconds (RFC 8945 section 10).
const FUDGE: u16 = 300;

/// How updates are signed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[default]
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl Algorithm {
    fn wire(self) -> TsigAlgorithm {
        match self {
            Self::HmacSha256 => TsigAlgorithm::HmacSha256,
            Self::HmacSha384 => TsigAlgorithm::HmacSha384,
            Self::HmacSha512 => TsigAlgorithm::HmacSha512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        })
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_ascii_lowercase().trim_end_matches('.') {
            "hmac-sha256" => Ok(Self::HmacSha256),
            "hmac-sha384" => Ok(Self::HmacSha384),
            "hmac-sha512" => Ok(Self::HmacSha512),
            _ => Err(Error::Algorithm(text.to_owned())),
        }
    }
}

/// Why a key cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Broken or old algorithms are not offered.
    #[error("{0:?} is no TSIG algorithm that is used here: hmac-sha256, hmac-sha384 or hmac-sha512")]
    Algorithm(String),
    /// The file has neither form.
    #[error("the TSIG secret is neither base64 nor a key file of BIND or Knot")]
    Secret,
    /// Neither flag nor file says it.
    #[error("the TSIG key has no name: give it, or a key file that has it")]
    NoName,
    /// The name is not a DNS name.
    #[error("failed to accept the name of the TSIG key")]
    Name(#[from] dns::Error),
}

/// A shared key. Its secret is never printed.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Key {
    /// What the server calls it.
    pub name: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// In base64.
    #[serde(with = "secret")]
    secret: Zeroizing<String>,
}

/// The secret as the text it is, in what is kept.
mod secret {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(secret: &Zeroizing<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(from).map(Zeroizing::new)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {}, ..)", self.name, self.algorithm)
    }
}

impl Key {
    /// Reads a secret: bare base64, or a key file as `tsig-keygen` (BIND) or
    /// `keymgr -t` (Knot) write it. What is given beside it wins over what the
    /// file says.
    pub fn read(text: &str, name: Option<&str>, algorithm: Option<Algorithm>) -> Result<Self, Error> {
        let words = words(text);
        let after = |key: &str| {
            let at = words.iter().position(|word| *word == key)?;
            words.get(at + 1).copied()
        };
        let secret = match (after("secret"), words[..].first()) {
            (Some(secret), _) => secret,
            (None, Some(only)) if words.len() == 1 => only,
            _ => return Err(Error::Secret),
        };
        let bytes = STANDARD.decode(secret).map(Zeroizing::new);
        if bytes.is_ok_and(|bytes| !bytes.is_empty()) {
            // Knot writes `- id: name`, BIND `key "name" {`.
            let named = name.or_else(|| after("id")).or_else(|| match words.first() {
                Some(&"key") => words.get(1).copied().filter(|word| *word != "-"),
                _ => None,
            });
            let algorithm = match (algorithm, after("algorithm")) {
                (Some(given), _) => given,
                (None, Some(text)) => text.parse()?,
                (None, None) => Algorithm::default(),
            };
            let name = named.ok_or(Error::NoName)?;
            Ok(Self {
                name: dns::text(&absolute(name)?),
                algorithm,
                secret: Zeroizing::new(secret.to_owned()),
            })
        } else {
            Err(Error::Secret)
        }
    }

    pub(crate) fn signer(&self) -> Result<TSigner, Error> {
        let secret = STANDARD.decode(&*self.secret).map_err(|_| Error::Secret)?;
        TSigner::new(secret, self.algorithm.wire(), absolute(&self.name)?, FUDGE)
            .map_err(|_| Error::Algorithm(self.algorithm.to_string()))
    }
}

/// The words of a key file without its punctuation and comments.
fn words(text: &str) -> Vec<&str> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', '/']));
    let words = lines.flat_map(|line| {
        line.split(|letter: char| letter.is_whitespace() || ['"', '{', '}', ';', ':'].contains(&letter))
    });
    words.filter(|word| !word.is_empty() && *word != "-").collect()
}

/// Why a server does not take the signature (RFC 8945 section 5.2).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Another secret.
    #[error("{server} refused the signature (BADSIG): its secret of the key {key} is another one")]
    Signature {
        /// The server.
        server: String,
        /// Name of the key.
        key: String,
    },
    /// Another name or algorithm; Knot says the same of a key without the right.
    #[error(
        "{server} does not take the key {key} with {algorithm} for this zone (BADKEY): it does not know it, or does not let it update"
    )]
    Key {
        /// The server.
        server: String,
        /// Name of the key.
        key: String,
        /// Its algorithm.
        algorithm: Algorithm,
    },
    /// The clocks differ.
    #[error(
        "{server} refused the time of the signature (BADTIME): its clock and the one here are more than {FUDGE} s apart"
    )]
    Time {
        /// The server.
        server: String,
    },
    /// Anything else.
    #[error("{server} refused the signature with code {code}")]
    Other {
        /// The server.
        server: String,
        /// TSIG error code.
        code: u16,
    },
}

impl Refusal {
    pub(crate) fn of(error: TsigError, server: &str, key: &Key) -> Self {
        let server = server.to_owned();
        match error {
            TsigError::BadSig => Self::Signature {
                server,
                key: key.name.clone(),
            },
            TsigError::BadKey => Self::Key {
                server,
                key: key.name.clone(),
                algorithm: key.algorithm,
            },
            TsigError::BadTime => Self::Time { server },
            other => Self::Other {
                server,
                code: other.into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c2VjcmV0IG9mIDMyIGJ5dGVzIGZvciBhIGtleSEhISE=";

    #[test]
    fn a_bare_secret_needs_a_name() {
        let key = Key::read(&format!("{SECRET}\n"), Some("acme."), None).unwrap();
        assert_eq!(
            (key.name.as_str(), key.algorithm),
            ("acme", Algorithm::HmacSha256)
        );
        assert_eq!(Key::read(SECRET, None, None), Err(Error::NoName));
        assert_eq!(Key::read("no base64!", Some("acme"), None), Err(Error::Secret));
        assert_eq!(Key::read("", Some("acme"), None), Err(Error::Secret));
    }

    #[test]
    fn key_files_of_both_servers_are_read() {
        let bind = format!("key \"acme\" {{\n\talgorithm hmac-sha512;\n\tsecret \"{SECRET}\";\n}};\n");
        let knot =
            format!("# hmac-sha512:acme:x\nkey:\n- id: acme\n  algorithm: hmac-sha512\n  secret: {SECRET}\n");
        for text in [bind, knot] {
            let key = Key::read(&text, None, None).unwrap();
            assert_eq!(
                (key.name.as_str(), key.algorithm),
                ("acme", Algorithm::HmacSha512)
            );
            assert_eq!(*key.secret, SECRET);
            key.signer().unwrap();
            let other = Key::read(&text, Some("other"), Some(Algorithm::HmacSha256)).unwrap();
            assert_eq!(
                (other.name.as_str(), other.algorithm),
                ("other", Algorithm::HmacSha256)
            );
        }
    }

    #[test]
    fn broken_algorithms_are_refused_and_secrets_not_printed() {
        let text = format!("key a {{ algorithm hmac-md5; secret \"{SECRET}\"; }};");
        assert_eq!(
            Key::read(&text, None, None),
            Err(Error::Algorithm("hmac-md5".into()))
        );
        let key = Key::read(SECRET, Some("a"), None).unwrap();
        assert_eq!(format!("{key:?}"), "Key(a, hmac-sha256, ..)");
    }
}
