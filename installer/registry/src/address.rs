//! Where images go: `HOST[:PORT]/PREFIX`.

use std::{fmt, str::FromStr};

/// Why a text is no address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is no registry address: {why}")]
pub struct AddressError {
    text: String,
    why: &'static str,
}

/// A registry and the path below which the repositories are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    host: String,
    prefix: String,
}

impl Address {
    /// Host, with port if there is one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Repository of an image, without the host.
    pub fn repository(&self, image: &str) -> String {
        if self.prefix.is_empty() {
            image.to_owned()
        } else {
            format!("{}/{image}", self.prefix)
        }
    }

    /// What a pod names to get exactly this content.
    pub fn pinned(&self, image: &str, digest: silica_oci::Digest) -> String {
        format!("{}/{}@{digest}", self.host, self.repository(image))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.prefix.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.prefix)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// The first part must look like a host: hold a dot or a port, or be `localhost`.
    /// Otherwise container runtimes would take it for a path on Docker Hub.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refused = |why| AddressError {
            text: text.to_owned(),
            why,
        };
        if text.contains("://") {
            return Err(refused("leave the scheme out; --registry-plain-http is for http"));
        }
        let text_without_end = text.trim_end_matches('/');
        let (host, prefix) = text_without_end.split_once('/').unwrap_or((text_without_end, ""));
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() => {
                port.parse::<u16>()
                    .map_err(|_| refused("the port is not a number up to 65535"))?;
                name
            }
            Some(_) => return Err(refused("the host is missing")),
            None => host,
        };
        if !(host.contains([':', '.']) || host == "localhost") {
            return Err(refused(
                "expected HOST[:PORT]/PREFIX, for example registry.example.com/silica",
            ));
        }
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.[]:".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_host) {
            return Err(refused("the host has characters that host names do not have"));
        }
        // Distribution specification, "Pulling manifests": name components.
        let is_component = |part: &str| {
            let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            part.bytes().all(|byte| inside(byte) || b"._-".contains(&byte))
                && part.bytes().next().is_some_and(inside)
                && part.bytes().last().is_some_and(inside)
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_component) {
            return Err(refused(
                "the path may hold lower-case letters, digits, and `.`, `_`, `-` between them",
            ));
        }
        Ok(Self {
            host: host.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_prefix_are_told_apart() {
        let address: Address = "registry.example.com:5000/team/silica/".parse().unwrap();
        assert_eq!(address.host(), "registry.example.com:5000");
        assert_eq!(
            address.repository("sandbox-manager"),
            "team/silica/sandbox-manager"
        );
        assert_eq!(address.to_string(), "registry.example.com:5000/team/silica");
        let bare: Address = "localhost:5000".parse().unwrap();
        assert_eq!(bare.repository("a"), "a");
    }

    #[test]
    fn a_pinned_reference_names_the_digest() {
        let address: Address = "r.example.com/silica".parse().unwrap();
        let digest = silica_oci::Digest::of(b"abc");
        assert_eq!(
            address.pinned("a", digest),
            format!("r.example.com/silica/a@sha256:{}", digest.hex())
        );
    }

    #[test]
    fn what_runtimes_would_read_differently_is_refused() {
        for text in [
            "",
            "silica",
            "team/silica",
            "https://r.example.com/a",
            "r.example.com:port/a",
            ":5000/a",
            "r.example.com/Team",
            "r.example.com/a//b",
            "r.example.com/-a",
            "us er.example.com/a",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
