//! References of container images as clients name them, and the image that a pod
//! template gives to a sandbox.

use std::{fmt, str::FromStr};

use serde_json::Value;
use silica_api::names;

/// Longest name, without tag and digest.
const NAME_MAX: usize = 255;
/// Longest tag.
const TAG_MAX: usize = 128;
/// Fewest hex digits of a digest.
const DIGEST_MIN: usize = 32;

/// Why a text is not the reference of an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Empty or too long.
    #[error("its name needs 1 to {NAME_MAX} characters")]
    Length,
    /// The part before the first slash looks like a registry and is none.
    #[error("its registry is not a host with an optional port")]
    Registry,
    /// The rest of the name.
    #[error(
        "its name consists of parts between slashes, of lower-case letters and digits with '.', '_', '__' or '-' between \
         them"
    )]
    Path,
    /// The name could be the id of an image on some node.
    #[error("64 hex digits are the id of an image, not its name")]
    Id,
    /// Behind the colon.
    #[error(
        "its tag consists of 1 to {TAG_MAX} letters, digits, '_', '.' and '-', and starts with none of the last two"
    )]
    Tag,
    /// Behind the at sign.
    #[error("its digest is not of the form <algorithm>:<hex digits>")]
    Digest,
}

/// Reference of an image: `[registry/]path[:tag][@digest]`, the grammar of the
/// distribution project that container runtimes follow.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ImageReference(String);

impl ImageReference {
    /// The validated text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(Error::Digest);
        }
        // A colon before the last slash belongs to the registry's port.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[last..].find(':') {
            Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(Error::Tag);
        }
        if !(1..=NAME_MAX).contains(&name.len()) {
            return Err(Error::Length);
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if looks_like_registry(first) => (Some(first), path),
            _ => (None, name),
        };
        if registry.is_some_and(|registry| !is_registry(registry)) {
            return Err(Error::Registry);
        }
        if !path.split('/').all(is_path_part) {
            return Err(Error::Path);
        }
        if registry.is_none() && path.len() == 64 && path.bytes().all(is_lower_hex) {
            return Err(Error::Id);
        }
        Ok(Self(text.to_owned()))
    }
}

/// The image of the container that is the sandbox: the one named `sandbox`, else
/// the first.
pub fn of_template(template: &Value) -> Option<&str> {
    let containers = template.pointer("/spec/containers")?.as_array()?;
    let named = containers
        .iter()
        .find(|container| container["name"] == names::MAIN_CONTAINER);
    named.or_else(|| containers.first())?["image"].as_str()
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Docker's rule for what is no part of the path.
fn looks_like_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_registry(text: &str) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else {
            return false;
        };
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        (
            None,
            port.strip_prefix(':')
                .or_else(|| (!port.is_empty()).then_some("")),
        )
    } else {
        match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        }
    };
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    host.is_none_or(|host| host.split('.').all(is_label)) && port.is_none_or(is_port)
}

/// Letters and digits, with one `.` or `_`, two `_` or any number of `-` between them.
fn is_path_part(part: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(is_alphanumeric)
        && part.ends_with(is_alphanumeric)
        && part.split(is_alphanumeric).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = tag.as_bytes();
    (1..=TAG_MAX).contains(&bytes.len())
        && bytes.first().is_some_and(is_word)
        && bytes
            .iter()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let is_algorithm = algorithm.split(['-', '_', '+', '.']).all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let length = match algorithm {
        "sha256" => hex.len() == 64,
        "sha512" => hex.len() == 128,
        _ => hex.len() >= DIGEST_MIN,
    };
    is_algorithm && length && hex.bytes().all(is_lower_hex)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_in_use_are_accepted_as_they_are() {
        let digest = format!("debian@sha256:{}", "0a".repeat(32));
        for good in [
            "debian",
            "debian:12",
            "library/debian:12-slim",
            "docker.io/library/debian",
            "localhost/x",
            "localhost:5000/a/b_c/d__e/f--g.h:v1.0_rc-2",
            "127.0.0.1:5000/x:1",
            "[::1]:5000/x",
            "[::1]/x",
            "REGISTRY.example.com/x",
            &digest,
            &format!("registry.example.com:443/team/{digest}"),
            &format!("a:1@sha256:{}", "f".repeat(64)),
        ] {
            assert_eq!(
                good.parse::<ImageReference>().map(|image| image.to_string()),
                Ok(good.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_part_that_is_wrong() {
        let long = "a".repeat(256);
        for (bad, error) in [
            ("", Error::Length),
            (":1", Error::Length),
            (&long, Error::Length),
            ("Debian", Error::Path),
            (" debian", Error::Path),
            ("a b", Error::Path),
            ("a//b", Error::Path),
            ("/a", Error::Path),
            ("a/", Error::Path),
            ("a..b", Error::Path),
            ("a___b", Error::Path),
            ("a_-b", Error::Path),
            ("-a", Error::Path),
            ("ä", Error::Path),
            ("a\n", Error::Path),
            ("https://example.com/x", Error::Registry),
            ("-a.b/x", Error::Registry),
            ("a.b:x/y", Error::Registry),
            ("a.b:+1/y", Error::Registry),
            ("a.b:99999/y", Error::Registry),
            ("[::1/x", Error::Registry),
            ("[a.b]/x", Error::Registry),
            ("[::1]5/x", Error::Registry),
            ("a:", Error::Tag),
            ("a:-1", Error::Tag),
            ("a:1:2", Error::Tag),
            (&format!("a:{}", "1".repeat(129)), Error::Tag),
            ("a@", Error::Digest),
            ("a@sha256:12", Error::Digest),
            (&format!("a@sha256:{}", "g".repeat(64)), Error::Digest),
            (&format!("a@sha256:{}@x", "a".repeat(64)), Error::Digest),
            (&"a".repeat(64), Error::Id),
        ] {
            assert_eq!(bad.parse::<ImageReference>(), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn the_image_of_a_template_is_that_of_its_main_container() {
        let named = json!({"spec": {"containers": [{"name": "proxy", "image": "p"}, {"name": "sandbox", "image": "s"}]}});
        assert_eq!(of_template(&named), Some("s"));
        let unnamed =
            json!({"spec": {"containers": [{"name": "app", "image": "a"}, {"name": "proxy", "image": "p"}]}});
        assert_eq!(of_template(&unnamed), Some("a"));
        for none in [
            json!({}),
            json!({"spec": {"containers": []}}),
            json!({"spec": {"containers": [{"image": 1}]}}),
        ] {
            assert_eq!(of_template(&none), None);
        }
    }
}
