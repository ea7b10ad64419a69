//! Judges an answer. Pure: no IO, no time.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::probe::is_localhost;

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

/// Why a question has no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// The name does not exist.
    NxDomain,
    /// The name exists without an address of this kind.
    NoData,
    /// The server failed to answer (SERVFAIL).
    ServerFailure,
    /// The server refused to answer.
    Refused,
    /// No answer in time.
    Timeout,
    /// Any other trouble on the way.
    Unreachable(String),
}

/// What one resolver said about one name, A and AAAA taken together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Targets of the CNAME records in their order, without final dots.
    pub chain: Vec<String>,
    /// The chain comes back to a name of its own.
    pub is_loop: bool,
    /// Addresses at the end.
    pub addresses: Vec<IpAddr>,
    /// Shortest remaining life of the records in seconds.
    pub ttl: Option<u32>,
    /// Failures of the two questions.
    pub failures: Vec<Failure>,
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
    /// Addresses that are not expected.
    WrongAddress {
        /// The addresses that should not be there.
        found: Vec<IpAddr>,
    },
    /// A CNAME leads to a host that is not expected and has no address.
    CnameElsewhere {
        /// Where it leads.
        target: String,
    },
    /// CNAME records that lead back to themselves.
    CnameLoop,
    /// There is no record.
    MissingRecord {
        /// Which kind of nothing.
        kind: Missing,
    },
    /// The name server failed.
    ServerFailure,
    /// The name server refuses to answer for this name.
    Refused,
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
    /// server to be repaired.
    pub fn needs_record(&self) -> bool {
        matches!(
            self,
            Self::WrongAddress { .. }
                | Self::CnameElsewhere { .. }
                | Self::CnameLoop
                | Self::MissingRecord { .. }
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches => f.write_str("leads to the installation"),
            Self::Subset => f.write_str("leads to a part of the expected addresses, which is enough"),
            Self::CnameToExpected { target } => write!(f, "is an alias of {target}, as expected"),
            Self::LocalhostName => {
                f.write_str("is answered with the loopback address without DNS (RFC 6761); programs that ask getaddrinfo may need an /etc/hosts line")
            }
            Self::WrongAddress { found } => {
                let found: Vec<_> = found.iter().map(ToString::to_string).collect();
                write!(f, "leads elsewhere: {} is not expected", found.join(", "))
            }
            Self::CnameElsewhere { target } => write!(f, "is an alias of {target}, which is not expected and has no address"),
            Self::CnameLoop => f.write_str("is an alias that leads back to itself"),
            Self::MissingRecord { kind: Missing::NxDomain } => f.write_str("does not exist (NXDOMAIN)"),
            Self::MissingRecord { kind: Missing::NoData } => {
                f.write_str("exists without an address (NODATA); a record of another type at or below it hides the wildcard (RFC 4592 section 2.2)")
            }
            Self::ServerFailure => f.write_str("cannot be answered: the name server failed (SERVFAIL); its zone may be broken, or DNSSEC validation failed"),
            Self::Refused => f.write_str("is refused: the name server does not serve this zone, or not to this client (REFUSED)"),
            Self::Timeout => f.write_str("was not answered in time; is the name server up, and port 53 open for UDP and TCP?"),
            Self::Unreachable { reason } => write!(f, "could not be asked for: {reason}"),
        }
    }
}

/// Judges what was answered for the name.
pub fn judge(name: &str, answer: &Answer, targets: &Targets) -> Verdict {
    if answer.is_loop {
        return Verdict::CnameLoop;
    }
    if let Some(target) = answer
        .chain
        .iter()
        .find(|link| targets.hostnames.iter().any(|name| same(name, link)))
    {
        return Verdict::CnameToExpected {
            target: target.clone(),
        };
    }
    if !answer.addresses.is_empty() {
        return judge_addresses(name, &answer.addresses, targets);
    }
    if let Some(verdict) = judge_failure(&answer.failures) {
        return verdict;
    }
    if let Some(target) = answer.chain.last() {
        return Verdict::CnameElsewhere {
            target: target.clone(),
        };
    }
    let kind = if answer.failures.contains(&Failure::NxDomain) {
        Missing::NxDomain
    } else {
        Missing::NoData
    };
    Verdict::MissingRecord { kind }
}

fn judge_addresses(name: &str, found: &[IpAddr], targets: &Targets) -> Verdict {
    let loopback = |addresses: &[IpAddr]| addresses.iter().any(IpAddr::is_loopback);
    if is_localhost(name) && found.iter().all(IpAddr::is_loopback) && loopback(&targets.addresses) {
        return Verdict::LocalhostName;
    }
    let foreign: Vec<_> = found
        .iter()
        .filter(|address| !targets.addresses.contains(address))
        .copied()
        .collect();
    if !foreign.is_empty() {
        Verdict::WrongAddress { found: foreign }
    } else if targets.addresses.iter().all(|address| found.contains(address)) {
        Verdict::Matches
    } else {
        Verdict::Subset
    }
}

/// The failure that decides: one that hides whether there is a record.
fn judge_failure(failures: &[Failure]) -> Option<Verdict> {
    let rank = |failure: &Failure| match failure {
        Failure::ServerFailure => 4,
        Failure::Refused => 3,
        Failure::Timeout => 2,
        Failure::Unreachable(_) => 1,
        Failure::NxDomain | Failure::NoData => 0,
    };
    // NXDOMAIN holds for all types: it also answers the other question.
    if failures.contains(&Failure::NxDomain) {
        return None;
    }
    match failures.iter().max_by_key(|failure| rank(failure))? {
        Failure::ServerFailure => Some(Verdict::ServerFailure),
        Failure::Refused => Some(Verdict::Refused),
        Failure::Timeout => Some(Verdict::Timeout),
        Failure::Unreachable(reason) => Some(Verdict::Unreachable {
            reason: reason.clone(),
        }),
        Failure::NxDomain | Failure::NoData => None,
    }
}

/// Whether two names are the same: without case and final dots.
pub(crate) fn same(left: &str, right: &str) -> bool {
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    bare(left) == bare(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(addresses: &[&str]) -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn found(addresses: &[&str]) -> Answer {
        Answer {
            addresses: ips(addresses),
            ..Answer::default()
        }
    }

    fn failed(failures: &[Failure]) -> Answer {
        Answer {
            failures: failures.to_vec(),
            ..Answer::default()
        }
    }

    fn alias(chain: &[&str]) -> Answer {
        Answer {
            chain: chain.iter().map(ToString::to_string).collect(),
            ..Answer::default()
        }
    }

    fn expect(addresses: &[&str]) -> Targets {
        Targets {
            addresses: ips(addresses),
            hostnames: Vec::new(),
        }
    }

    #[test]
    fn addresses_are_compared_as_sets() {
        let targets = expect(&["192.0.2.1", "2001:db8::1"]);
        assert_eq!(
            judge("x.test", &found(&["2001:db8::1", "192.0.2.1"]), &targets),
            Verdict::Matches
        );
        assert_eq!(judge("x.test", &found(&["192.0.2.1"]), &targets), Verdict::Subset);
        assert_eq!(
            judge("x.test", &found(&["192.0.2.1", "192.0.2.9"]), &targets),
            Verdict::WrongAddress {
                found: ips(&["192.0.2.9"])
            }
        );
    }

    #[test]
    fn nothing_is_told_apart() {
        let targets = expect(&["192.0.2.1"]);
        let missing = |kind| Verdict::MissingRecord { kind };
        for (failures, verdict) in [
            (
                vec![Failure::NxDomain, Failure::NxDomain],
                missing(Missing::NxDomain),
            ),
            (
                vec![Failure::NxDomain, Failure::Timeout],
                missing(Missing::NxDomain),
            ),
            (vec![Failure::NoData, Failure::NoData], missing(Missing::NoData)),
            (
                vec![Failure::NoData, Failure::ServerFailure],
                Verdict::ServerFailure,
            ),
            (vec![Failure::Refused, Failure::Refused], Verdict::Refused),
            (vec![Failure::Timeout, Failure::Timeout], Verdict::Timeout),
            (
                vec![Failure::Timeout, Failure::ServerFailure],
                Verdict::ServerFailure,
            ),
            (
                vec![Failure::Unreachable("no route".into()), Failure::NoData],
                Verdict::Unreachable {
                    reason: "no route".into(),
                },
            ),
        ] {
            assert_eq!(
                judge("x.test", &failed(&failures), &targets),
                verdict,
                "{failures:?}"
            );
        }
    }

    #[test]
    fn answer_of_one_kind_outweighs_the_failure_of_the_other() {
        let answer = Answer {
            failures: vec![Failure::NoData],
            ..found(&["192.0.2.1"])
        };
        assert_eq!(
            judge("x.test", &answer, &expect(&["192.0.2.1"])),
            Verdict::Matches
        );
    }

    #[test]
    fn alias_to_the_expected_host_is_right_even_without_an_address() {
        let targets = Targets {
            addresses: Vec::new(),
            hostnames: vec!["lb.cloud.example".into()],
        };
        assert_eq!(
            judge("x.test", &alias(&["edge.example", "LB.cloud.example"]), &targets),
            Verdict::CnameToExpected {
                target: "LB.cloud.example".into()
            }
        );
        assert_eq!(
            judge("x.test", &alias(&["old.cloud.example"]), &targets),
            Verdict::CnameElsewhere {
                target: "old.cloud.example".into()
            }
        );
    }

    #[test]
    fn alias_that_ends_at_an_expected_address_matches() {
        let answer = Answer {
            chain: vec!["edge.example".into()],
            ..found(&["192.0.2.1"])
        };
        assert_eq!(
            judge("x.test", &answer, &expect(&["192.0.2.1"])),
            Verdict::Matches
        );
    }

    #[test]
    fn loop_is_named() {
        let answer = Answer {
            is_loop: true,
            ..alias(&["b.test", "a.test"])
        };
        assert_eq!(
            judge("a.test", &answer, &expect(&["192.0.2.1"])),
            Verdict::CnameLoop
        );
    }

    #[test]
    fn localhost_is_right_only_when_loopback_is_expected() {
        let answer = found(&["127.0.0.1", "::1"]);
        assert_eq!(
            judge("a.silica.localhost", &answer, &expect(&["127.0.0.1"])),
            Verdict::LocalhostName
        );
        assert!(!judge("a.silica.localhost", &answer, &expect(&["192.0.2.1"])).is_ok());
        assert!(!judge("a.silica.test", &answer, &expect(&["127.0.0.1"])).is_ok());
    }
}
