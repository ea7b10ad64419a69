//! What can be said about an answer, in words and for programs.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::whose::whose;

mod judge;

pub use judge::judge;
pub(crate) use judge::same;

/// Where the names should lead: what the load balancer, the nodes or the
/// Ingress report.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "value")]
pub enum Expected {
    /// An address.
    Ip(IpAddr),
    /// A host name, as load balancers of some clouds report it.
    Hostname(String),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Hostname(name) => f.write_str(name),
        }
    }
}

/// What is expected, with the addresses of expected host names looked up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Targets {
    /// Expected addresses, those of the host names included.
    pub addresses: Vec<IpAddr>,
    /// Expected host names, lower case, without final dot.
    pub hostnames: Vec<String>,
}

impl Targets {
    /// Whether there is nothing to compare with.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.hostnames.is_empty()
    }
}

/// Which kind of nothing was answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Missing {
    /// The name does not exist (RFC 8020).
    #[serde(rename = "NXDOMAIN")]
    NxDomain,
    /// The name exists, but has no address record (RFC 2308 section 2.2).
    #[serde(rename = "NODATA")]
    NoData,
}

/// The judgement over a name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// All expected addresses and no others.
    Matches,
    /// Some of the expected addresses and no others, as with round robin.
    Subset,
    /// A CNAME leads to an expected host name.
    CnameToExpected {
        /// The host name.
        target: String,
    },
    /// A name below `localhost.`: the loopback address, without any DNS.
    LocalhostName,
    /// It resolves, and nothing is known to compare it with.
    Unjudged,
    /// Addresses that are not expected.
    WrongAddress {
        /// The addresses that should not be there.
        found: Vec<IpAddr>,
    },
    /// The name servers of the zone are right; this resolver still knows what
    /// was there before.
    Stale {
        /// The addresses that it still knows; empty when it knows of none.
        found: Vec<IpAddr>,
        /// How long it may go on with that, in seconds.
        seconds: Option<u32>,
    },
    /// A CNAME leads to a host that is not expected and has no address.
    CnameElsewhere {
        /// Where it leads.
        target: String,
    },
    /// CNAME records that lead back to themselves.
    CnameLoop,
    /// More CNAME records in a row than resolvers follow.
    CnameTooLong {
        /// How many were followed.
        length: usize,
    },
    /// There is no record.
    MissingRecord {
        /// Which kind of nothing.
        kind: Missing,
    },
    /// There is no wildcard record.
    MissingWildcard {
        /// Which kind of nothing.
        kind: Missing,
    },
    /// There is a wildcard, but a record of another type at or below this name
    /// hides it (RFC 4592 section 2.2).
    HiddenWildcard,
    /// The wildcard was created at another name.
    MisplacedWildcard {
        /// Where it is.
        at: String,
    },
    /// The name server failed.
    ServerFailure {
        /// What it says about it (RFC 8914).
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The answer does not pass DNSSEC validation; without validation there is
    /// one.
    DnssecBogus {
        /// What the resolver says about it (RFC 8914).
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The name server refuses to answer for this name.
    Refused,
    /// The answer does not fit into a datagram, and TCP does not work.
    Truncated,
    /// The name server did not answer in time.
    Timeout,
    /// The name server cannot be reached, or its answer cannot be used.
    Unreachable {
        /// What happened.
        reason: String,
    },
}

impl Verdict {
    /// Whether clients reach the installation by this name.
    pub fn is_ok(&self) -> bool {
        matches!(
            self,
            Self::Matches | Self::Subset | Self::CnameToExpected { .. } | Self::LocalhostName
        )
    }

    /// Whether a record has to be created or changed, as opposed to a name
    /// server to be repaired or waited for.
    pub fn needs_record(&self) -> bool {
        matches!(
            self,
            Self::WrongAddress { .. }
                | Self::CnameElsewhere { .. }
                | Self::CnameLoop
                | Self::CnameTooLong { .. }
                | Self::MissingRecord { .. }
                | Self::MissingWildcard { .. }
                | Self::HiddenWildcard
                | Self::MisplacedWildcard { .. }
        )
    }

    /// Whether it says that there is nothing at the name.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::MissingRecord { .. } | Self::MissingWildcard { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |reason: &Option<String>| {
            reason
                .as_ref()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default()
        };
        match self {
            Self::Matches => f.write_str("leads to the installation"),
            Self::Subset => f.write_str("leads to a part of the expected addresses, which is enough"),
            Self::CnameToExpected { target } => write!(f, "is an alias of {target}, as expected"),
            Self::LocalhostName => f.write_str("leads to this machine without DNS (RFC 6761)"),
            Self::Unjudged => f.write_str("resolves, and nothing is known to compare it with"),
            Self::WrongAddress { found } => write!(f, "leads elsewhere: {} is not expected", told(found)),
            Self::Stale { found, seconds } => {
                let what = if found.is_empty() { "has no record".to_owned() } else { format!("leads to {}", join(found)) };
                write!(f, "is right at the zone's servers; this resolver remembers that it {what}")?;
                match seconds {
                    Some(seconds) => write!(f, ", for at most {seconds} s more"),
                    None => Ok(()),
                }
            }
            Self::CnameElsewhere { target } => write!(f, "is an alias of {target}, which is not expected and has no address"),
            Self::CnameLoop => f.write_str("is an alias that leads back to itself"),
            Self::CnameTooLong { length } => write!(f, "is an alias of an alias, more than {length} times over, which resolvers do not follow"),
            Self::MissingRecord { kind: Missing::NxDomain } => f.write_str("does not exist (NXDOMAIN)"),
            Self::MissingRecord { kind: Missing::NoData } => f.write_str("exists without an address (NODATA)"),
            Self::MissingWildcard { kind: Missing::NxDomain } => f.write_str("does not exist: there is no wildcard (NXDOMAIN)"),
            Self::MissingWildcard { kind: Missing::NoData } => f.write_str("has no address: the wildcard has records of other types only (NODATA)"),
            Self::HiddenWildcard => {
                f.write_str("exists without an address: a record of another type at or below it hides the wildcard (RFC 4592 section 2.2)")
            }
            Self::MisplacedWildcard { at } => write!(f, "does not exist: the wildcard was created as {at}"),
            Self::ServerFailure { reason } => write!(f, "cannot be answered: the name server failed (SERVFAIL){}", because(reason)),
            Self::DnssecBogus { reason } => {
                write!(f, "exists, but its signatures do not hold (DNSSEC bogus), so that validating resolvers refuse it{}", because(reason))
            }
            Self::Refused => f.write_str("is refused: the name server does not serve this zone, or not to this client (REFUSED)"),
            Self::Truncated => f.write_str("has an answer too large for UDP, and TCP does not work; is port 53 open for TCP?"),
            Self::Timeout => f.write_str("was not answered in time; is the name server up, and port 53 open for UDP and TCP?"),
            Self::Unreachable { reason } => write!(f, "could not be asked for: {reason}"),
        }
    }
}

/// Addresses with what is special about them.
fn told(addresses: &[IpAddr]) -> String {
    let told = addresses.iter().map(|address| match whose(*address) {
        Some(whose) => format!("{address} ({whose})"),
        None => address.to_string(),
    });
    told.collect::<Vec<_>>().join(", ")
}

fn join(addresses: &[IpAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_is_told_with_whose_it_is() {
        let found = ["10.0.0.1", "1.1.1.1"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(
            Verdict::WrongAddress { found }.to_string(),
            "leads elsewhere: 10.0.0.1 (of a private network, RFC 1918), 1.1.1.1 is not expected"
        );
    }
}
