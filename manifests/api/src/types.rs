//! Names that come from outside, validated once into types.

use std::{fmt, str::FromStr};

/// Why a text is not a valid name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The text is empty or longer than the limit.
    #[error("{kind} {value:?} has {length} characters; 1 to {max} are allowed")]
    Length {
        kind: &'static str,
        value: String,
        length: usize,
        max: usize,
    },
    /// A character is not allowed at its place.
    #[error(
        "{kind} {value:?} is not valid: labels consist of lower-case letters, digits and '-', \
         and start and end with a letter or digit"
    )]
    Characters { kind: &'static str, value: String },
    /// A sandbox id without the `--` between namespace and name.
    #[error("sandbox id {value:?} is not of the form <namespace>--<name>")]
    SandboxId { value: String },
    /// A domain of one label, or one that is an IP address.
    #[error("domain {value:?} needs at least two labels, for example \"sandbox.example.com\"")]
    Domain { value: String },
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

fn check_length(kind: &'static str, value: &str, max: usize) -> Result<(), Error> {
    if value.is_empty() || value.len() > max {
        return Err(Error::Length {
            kind,
            value: value.to_owned(),
            length: value.len(),
            max,
        });
    }
    Ok(())
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(String);

        impl $name {
            /// The validated text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_type! {
    /// A namespace name: an RFC 1123 label of at most 63 characters.
    NamespaceName
}

impl FromStr for NamespaceName {
    type Err = Error;

    fn from_str(value: &str) -> Result<Self, Error> {
        check_length("namespace", value, 63)?;
        if !is_label(value) {
            return Err(Error::Characters {
                kind: "namespace",
                value: value.to_owned(),
            });
        }
        Ok(Self(value.to_owned()))
    }
}

text_type! {
    /// A DNS domain without wildcard: at least two RFC 1123 labels, at most 253
    /// characters in total, lower case, no trailing dot (RFC 1035 section 2.3.4).
    Domain
}

impl Domain {
    /// The wildcard name that covers one label below the domain.
    pub fn wildcard(&self) -> String {
        format!("*.{self}")
    }

    /// The host of the REST API.
    pub fn api_host(&self) -> String {
        format!("api.{self}")
    }
}

impl FromStr for Domain {
    type Err = Error;

    fn from_str(value: &str) -> Result<Self, Error> {
        let lower = value.strip_suffix('.').unwrap_or(value).to_ascii_lowercase();
        // `49999-<63 characters>.` must still fit in front of the domain.
        check_length("domain", &lower, 253 - 64)?;
        let mut labels = 0;
        for label in lower.split('.') {
            check_length("label of the domain", label, 63)?;
            if !is_label(label) {
                return Err(Error::Characters {
                    kind: "domain",
                    value: value.to_owned(),
                });
            }
            labels += 1;
        }
        let numeric_end = lower
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if labels < 2 || numeric_end {
            return Err(Error::Domain {
                value: value.to_owned(),
            });
        }
        Ok(Self(lower))
    }
}

/// Public id of a sandbox: `<namespace>--<name>`, one DNS label together with
/// the port in front of it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SandboxId {
    text: String,
    separator: usize,
}

/// What is left of a DNS label of 63 characters behind `65535-`.
pub const SANDBOX_ID_MAX: usize = 57;

impl SandboxId {
    /// The id of the Sandbox `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Result<Self, Error> {
        format!("{namespace}--{name}").parse()
    }

    /// Namespace of the Sandbox object.
    pub fn namespace(&self) -> &str {
        &self.text[..self.separator]
    }

    /// Name of the Sandbox object.
    pub fn name(&self) -> &str {
        &self.text[self.separator + 2..]
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SandboxId {
    type Err = Error;

    fn from_str(value: &str) -> Result<Self, Error> {
        check_length("sandbox id", value, SANDBOX_ID_MAX)?;
        let separator = value.find("--").ok_or_else(|| Error::SandboxId {
            value: value.to_owned(),
        })?;
        if !is_label(&value[..separator]) || !is_label(&value[separator + 2..]) {
            return Err(Error::SandboxId {
                value: value.to_owned(),
            });
        }
        Ok(Self {
            text: value.to_owned(),
            separator,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_is_lower_cased_and_loses_its_root_dot() {
        assert_eq!(
            "Sbx.Example.COM.".parse::<Domain>().unwrap().as_str(),
            "sbx.example.com"
        );
        assert_eq!(
            "silica.localhost".parse::<Domain>().unwrap().wildcard(),
            "*.silica.localhost"
        );
    }

    #[test]
    fn domain_refuses_what_is_not_a_dns_name() {
        for bad in [
            "",
            "localhost",
            "a..b",
            "-a.b",
            "a-.b",
            "*.a.b",
            "a b.c",
            "a_b.c",
            "10.0.0.1",
            "http://a.b",
            "ä.b",
        ] {
            assert!(bad.parse::<Domain>().is_err(), "{bad:?} was accepted");
        }
        assert!(format!("{}.com", "a".repeat(64)).parse::<Domain>().is_err());
    }

    #[test]
    fn sandbox_id_splits_at_the_first_double_hyphen() {
        let id: SandboxId = "default--code-interpreter-29xyz".parse().unwrap();
        assert_eq!((id.namespace(), id.name()), ("default", "code-interpreter-29xyz"));
    }

    #[test]
    fn sandbox_id_refuses_what_is_not_one_dns_label() {
        for bad in [
            "",
            "default",
            "default--",
            "--a",
            "Default--a",
            "default--a.b",
            "a--b/../c",
        ] {
            assert!(bad.parse::<SandboxId>().is_err(), "{bad:?} was accepted");
        }
        assert!(SandboxId::new("default", &"a".repeat(60)).is_err());
    }
}
