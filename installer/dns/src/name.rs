//! Names as they are typed, and as they go onto the wire.

use hickory_resolver::proto::rr::Name;

/// What was given is not a DNS name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{name:?} is not a DNS name: {reason}")]
pub struct BadName {
    /// The name.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

/// The name with its final dot: no search list is tried.
pub(crate) fn absolute(name: &str) -> Result<Name, BadName> {
    let bad = |reason: String| BadName {
        name: name.to_owned(),
        reason,
    };
    if name.is_empty() || name.contains('*') {
        return Err(bad("a full name without wildcard is needed".to_owned()));
    }
    parse(name).map_err(bad)
}

/// Like [`absolute`], for names that may hold a `*` label.
pub(crate) fn parse(name: &str) -> Result<Name, String> {
    let mut parsed = Name::from_utf8(name).map_err(|error| error.to_string())?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

/// A name without its final dot.
pub(crate) fn text(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}
