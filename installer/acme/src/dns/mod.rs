//! Questions to name servers, in the plain protocol (RFC 1035): which zone
//! holds a name, who serves it, and whether they all show a record.

mod exchange;
pub mod propagation;
mod resolver;

pub use exchange::Failure;
pub(crate) use exchange::{query, send_tcp};
pub(crate) use resolver::apex;
pub use resolver::{Resolver, Server, Zone};

use std::net::SocketAddr;

use hickory_proto::{op::ResponseCode, rr::Name};

/// Why a question has no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not a DNS name.
    #[error("{name:?} is not a DNS name: {why}")]
    Name {
        /// The text.
        name: String,
        /// What the parser said.
        why: String,
    },
    /// No name server answered the question.
    #[error("failed to look up {kind} of {name}: {}", answers(failures))]
    NoAnswer {
        /// The name.
        name: String,
        /// The type of record.
        kind: String,
        /// What each server did.
        failures: Vec<(SocketAddr, Failure)>,
    },
    /// The name has no address.
    #[error("{name} has no address")]
    NoAddress {
        /// The name.
        name: String,
    },
    /// No zone holds the name.
    #[error("failed to find the zone of {name}: no name server knows one above it")]
    NoZone {
        /// The name.
        name: String,
    },
    /// The zone has no name server.
    #[error("the zone {zone} has no name server with an address")]
    NoServers {
        /// The zone.
        zone: String,
    },
    /// Aliases lead in a circle or too far.
    #[error("{name} is an alias that leads too far or back to itself")]
    Aliases {
        /// The name.
        name: String,
    },
}

fn answers(failures: &[(SocketAddr, Failure)]) -> String {
    if failures.is_empty() {
        return "there is no name server to ask".to_owned();
    }
    let each = failures
        .iter()
        .map(|(server, failure)| format!("{server} {failure}"));
    each.collect::<Vec<_>>().join(", ")
}

/// Reads a name; it is absolute, with or without a final dot.
pub(crate) fn absolute(text: &str) -> Result<Name, Error> {
    let bad = |why: String| Error::Name {
        name: text.to_owned(),
        why,
    };
    if text.is_empty() {
        return Err(bad("it is empty".to_owned()));
    }
    let mut name = Name::from_ascii(text).map_err(|error| bad(error.to_string()))?;
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}

/// Without the final dot.
pub(crate) fn text(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

/// The mnemonic that administrators know.
pub(crate) fn code(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        ResponseCode::NotZone => "NOTZONE".to_owned(),
        other => other.to_str().to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_absolute_and_lower_case() {
        let name = absolute("_acme-challenge.A.example").unwrap();
        assert_eq!(name, absolute("_acme-challenge.a.example.").unwrap());
        assert_eq!(text(&name), "_acme-challenge.a.example");
        assert!(absolute("").is_err());
    }
}
