//! What a CA says when it refuses: problem documents (RFC 7807) with the
//! subproblems of RFC 8555 section 6.7.1, shown in full.

use std::{fmt, time::Duration};

use instant_acme::{Identifier, Problem};

/// Prefix of the CA's own problem types (RFC 8555 section 6.7).
const PREFIX: &str = "urn:ietf:params:acme:error:";

/// A refusal.
#[derive(Clone, Debug, Default, Eq, PartialEq, thiserror::Error)]
pub struct Refusal {
    /// Type, without the prefix of ACME, for example `rejectedIdentifier`.
    pub kind: String,
    /// For people.
    pub detail: String,
    /// HTTP status.
    pub status: Option<u16>,
    /// What is wrong with single names.
    pub parts: Vec<Part>,
    /// When the CA wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// What is wrong with one name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Part {
    /// The name, when the CA says it.
    pub name: Option<String>,
    /// See [`Refusal::kind`].
    pub kind: String,
    /// For people.
    pub detail: String,
}

impl Refusal {
    /// Reads a problem document.
    pub(crate) fn of(problem: &Problem, retry_after: Option<Duration>) -> Self {
        let kind = |kind: Option<&str>| {
            let kind = kind.unwrap_or("about:blank");
            kind.strip_prefix(PREFIX).unwrap_or(kind).to_owned()
        };
        Self {
            kind: kind(problem.r#type.as_deref()),
            detail: problem.detail.clone().unwrap_or_default(),
            status: problem.status,
            parts: problem
                .subproblems
                .iter()
                .map(|part| Part {
                    name: part.identifier.as_ref().map(name),
                    kind: kind(part.r#type.as_deref()),
                    detail: part.detail.clone().unwrap_or_default(),
                })
                .collect(),
            retry_after,
        }
    }
}

/// The name that an identifier stands for.
pub(crate) fn name(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Dns(name) => name.clone(),
        other => format!("{other:?}"),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(status) = self.status {
            write!(f, " (HTTP {status})")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        for part in &self.parts {
            let name = part.name.as_deref().unwrap_or("(no name)");
            write!(f, "\n  - {name}: {}: {}", part.kind, part.detail)?;
        }
        if let Some(pause) = self.retry_after {
            write!(f, "\n  the CA wants to be asked again in {} s", pause.as_secs())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_the_ca_says_is_shown() {
        let text = r#"{"type": "urn:ietf:params:acme:error:rejectedIdentifier", "status": 400,
            "detail": "some names were refused", "subproblems": [
            {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it",
             "identifier": {"type": "dns", "value": "a.example"}}]}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        let refusal = Refusal::of(&problem, Some(Duration::from_mins(1)));
        assert_eq!(
            refusal.to_string(),
            "rejectedIdentifier (HTTP 400): some names were refused\n  - a.example: caa: CAA forbids it\n  \
             the CA wants to be asked again in 60 s"
        );
    }

    #[test]
    fn a_bare_problem_is_shown_too() {
        let problem: Problem = serde_json::from_str("{}").unwrap();
        assert_eq!(Refusal::of(&problem, None).to_string(), "about:blank");
    }
}
