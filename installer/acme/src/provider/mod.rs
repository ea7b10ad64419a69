//! Who puts the TXT records of a challenge into DNS.

mod exec;
mod manual;
mod rfc2136;
pub mod tsig;

use std::time::Duration;

pub use exec::Exec;
pub use manual::Manual;
pub use rfc2136::{Rfc2136, ServerAddress};

use crate::dns;

/// Life of the records in seconds.
pub(crate) const TTL: u32 = 60;

/// A TXT record of a challenge. Apex and wildcard of a domain have the same
/// name and different values: both have to be there at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TxtRecord {
    /// Full name without final dot.
    pub name: String,
    /// The only string in it.
    pub value: String,
}

impl TxtRecord {
    /// The record as a line of a zone file (RFC 1035 section 5).
    pub fn zone_line(&self) -> String {
        // The value is base64url: nothing in it has to be quoted.
        format!("{}. {TTL} IN TXT \"{}\"", self.name, self.value)
    }
}

/// Puts records into DNS and takes them away again. Only these: other records
/// of the same name stay.
pub trait Dns01: Send + Sync + 'static {
    /// Adds the records. When it fails, some may be there already.
    fn present(&self, records: &[TxtRecord]) -> impl Future<Output = Result<(), Error>> + Send;

    /// Removes the records; those that are not there are no error.
    fn cleanup(&self, records: &[TxtRecord]) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Why records were not added or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name server or the zone cannot be found.
    #[error("failed to find where to send the update")]
    Dns(#[from] dns::Error),
    /// The update did not reach the server.
    #[error("failed to send the update to {server}: it {failure}")]
    Send {
        /// The server.
        server: String,
        /// What happened.
        failure: dns::Failure,
    },
    /// The server does not take the signature.
    #[error(transparent)]
    Signature(#[from] tsig::Refusal),
    /// The server did not do it.
    #[error("{server} refused the update of zone {zone} with {code}{}", why(code, key))]
    Refused {
        /// The server.
        server: String,
        /// The zone.
        zone: String,
        /// Its code.
        code: String,
        /// Name of the key that signed.
        key: String,
    },
    /// The answer does not bear the signature of the key.
    #[error("{server} did not sign its answer with the key {key}: {why}")]
    Unsigned {
        /// The server.
        server: String,
        /// Name of the key.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// The update cannot be put into a message.
    #[error("failed to write the update: {0}")]
    Message(String),
    /// The program could not be run.
    #[error("failed to run {program}")]
    Run {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The program did not do it.
    #[error("{program} {action} {name} failed with {status}{}", said(output))]
    Program {
        /// The program.
        program: String,
        /// `present` or `cleanup`.
        action: &'static str,
        /// Name of the record.
        name: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The program did not end.
    #[error("{program} {action} {name} did not end within {} s", limit.as_secs())]
    Endless {
        /// The program.
        program: String,
        /// `present` or `cleanup`.
        action: &'static str,
        /// Name of the record.
        name: String,
        /// How long was waited.
        limit: Duration,
    },
}

impl Error {
    /// Whether the server was not found or said no: nothing has changed there,
    /// as opposed to somebody who failed on the way.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Dns(_) | Self::Signature(_) | Self::Refused { .. })
    }
}

fn said(output: &str) -> String {
    if output.is_empty() {
        String::new()
    } else {
        format!(", and said:\n  {}", output.replace('\n', "\n  "))
    }
}

/// What an administrator has to look at.
fn why(code: &str, key: &str) -> String {
    match code {
        "REFUSED" => format!("; is the key {key} allowed to update TXT records there?"),
        "NOTAUTH" => "; it is not the primary server of the zone".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_as_a_zone_file_has_it() {
        let record = TxtRecord {
            name: "_acme-challenge.a.example".into(),
            value: "x_-1".into(),
        };
        assert_eq!(
            record.zone_line(),
            "_acme-challenge.a.example. 60 IN TXT \"x_-1\""
        );
    }
}
