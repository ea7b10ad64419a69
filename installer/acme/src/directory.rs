//! Which CA is asked: its directory (RFC 8555 section 7.1.1).

use std::{fmt, str::FromStr};

use http::Uri;
use serde::{Deserialize, Serialize};

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Address of a CA's directory, always with `https`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Directory(String);

/// Why a text names no CA.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} names no CA: give letsencrypt, letsencrypt-staging or the https address of an ACME directory")]
pub struct Error(String);

impl Directory {
    /// The address.
    pub fn url(&self) -> &str {
        &self.0
    }
}

impl FromStr for Directory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "letsencrypt" => return Ok(Self(LETS_ENCRYPT.to_owned())),
            "letsencrypt-staging" => return Ok(Self(LETS_ENCRYPT_STAGING.to_owned())),
            _ => {}
        }
        let uri: Uri = text.parse().map_err(|_| Error(text.to_owned()))?;
        // Section 6.1: the protocol is only defined over HTTPS.
        if uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Directory {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Directory> for String {
    fn from(directory: Directory) -> Self {
        directory.0
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_stand_for_their_addresses() {
        let directory: Directory = "letsencrypt-staging".parse().unwrap();
        assert_eq!(directory.url(), LETS_ENCRYPT_STAGING);
    }

    #[test]
    fn only_https_is_accepted() {
        assert!("https://127.0.0.1:14000/dir".parse::<Directory>().is_ok());
        for bad in [
            "http://ca.example/dir",
            "ca.example",
            "https://",
            "",
            "letsEncrypt",
        ] {
            assert!(bad.parse::<Directory>().is_err(), "{bad:?} was accepted");
        }
    }
}
