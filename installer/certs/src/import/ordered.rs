//! Puts the certificates of a file into the order in which a server sends them.

use crate::inspect::{self, Inspected};
use crate::pem;

/// A chain in the order in which a server sends it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ordered {
    /// The server's certificate, then each issuer behind what it signed. What
    /// could not be linked comes last, for [`review`](super::review) to name it.
    pub served: String,
    /// The self-signed root, when it came along; clients have it.
    pub root: Option<String>,
    /// Whether certificates changed places or came twice.
    pub was_changed: bool,
}

/// Repairs the order of a chain.
pub fn ordered(chain_pem: &str) -> Result<Ordered, pem::Error> {
    let mut rest = Vec::new();
    for der in pem::certificates(chain_pem)? {
        match inspect::parse_der(&der) {
            Ok(parsed) => rest.push((parsed, pem::encode_certificate(&der))),
            // What cannot be parsed stays as it is: the review tells why.
            Err(_) => {
                return Ok(Ordered {
                    served: chain_pem.to_owned(),
                    root: None,
                    was_changed: false,
                });
            }
        }
    }
    let before: Vec<String> = rest.iter().map(|(_, text)| text.clone()).collect();
    let mut served: Vec<(Inspected, String)> = Vec::with_capacity(rest.len());
    let mut next = rest.iter().position(|(one, _)| !one.is_ca).or(Some(0));
    while let Some(index) = next.filter(|index| *index < rest.len()) {
        let below = rest.remove(index);
        rest.retain(|(one, _)| one.fingerprint != below.0.fingerprint);
        next = rest
            .iter()
            .position(|(one, _)| one.is_issuer_of(&below.0))
            .or_else(|| rest.iter().position(|(one, _)| one.subject == below.0.issuer));
        served.push(below);
    }
    served.append(&mut rest);
    let after: Vec<String> = served.iter().map(|(_, text)| text.clone()).collect();
    let has_root = served.len() > 1 && served.last().is_some_and(|(last, _)| last.is_self_issued);
    let root = if has_root { served.pop() } else { None };
    Ok(Ordered {
        served: served.into_iter().map(|(_, text)| text).collect(),
        root: root.map(|(_, text)| text),
        was_changed: before != after,
    })
}
