//! Judges an answer. Pure: no IO, no time.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::answer::{Answer, CHAIN_MAX, Failure};
use crate::probe::{Probe, Purpose, is_localhost};

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
            Self::WrongAddress { found } => write!(f, "leads elsewhere: {} is not expected", join(found)),
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

fn join(addresses: &[IpAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

/// Judges what was answered for the name.
pub fn judge(probe: &Probe, answer: &Answer, targets: &Targets) -> Verdict {
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
        return judge_addresses(&probe.name, &answer.addresses, targets);
    }
    if answer.chain.len() >= CHAIN_MAX {
        return Verdict::CnameTooLong {
            length: answer.chain.len(),
        };
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
    if probe.purpose == Purpose::Apex {
        Verdict::MissingRecord { kind }
    } else {
        Verdict::MissingWildcard { kind }
    }
}

fn judge_addresses(name: &str, found: &[IpAddr], targets: &Targets) -> Verdict {
    let loopback = |addresses: &[IpAddr]| addresses.iter().any(IpAddr::is_loopback);
    if is_localhost(name) && found.iter().all(IpAddr::is_loopback) && loopback(&targets.addresses) {
        return Verdict::LocalhostName;
    }
    if targets.is_empty() {
        return Verdict::Unjudged;
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
        Failure::Bogus(_) => 6,
        Failure::ServerFailure(_) => 5,
        Failure::Refused => 4,
        Failure::Truncated => 3,
        Failure::Timeout => 2,
        Failure::Unreachable(_) => 1,
        Failure::NxDomain | Failure::NoData => 0,
    };
    // NXDOMAIN holds for all types: it also answers the other question.
    if failures.contains(&Failure::NxDomain) {
        return None;
    }
    match failures.iter().max_by_key(|failure| rank(failure))? {
        Failure::ServerFailure(reason) => Some(Verdict::ServerFailure {
            reason: reason.clone(),
        }),
        Failure::Bogus(reason) => Some(Verdict::DnssecBogus {
            reason: reason.clone(),
        }),
        Failure::Refused => Some(Verdict::Refused),
        Failure::Truncated => Some(Verdict::Truncated),
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

    fn apex(name: &str) -> Probe {
        Probe {
            name: name.into(),
            purpose: Purpose::Apex,
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
            judge(&apex("x.test"), &found(&["2001:db8::1", "192.0.2.1"]), &targets),
            Verdict::Matches
        );
        assert_eq!(
            judge(&apex("x.test"), &found(&["192.0.2.1"]), &targets),
            Verdict::Subset
        );
        assert_eq!(
            judge(&apex("x.test"), &found(&["192.0.2.1", "192.0.2.9"]), &targets),
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
                vec![Failure::NoData, Failure::ServerFailure(None)],
                Verdict::ServerFailure { reason: None },
            ),
            (vec![Failure::Refused, Failure::Refused], Verdict::Refused),
            (vec![Failure::Timeout, Failure::Timeout], Verdict::Timeout),
            (
                vec![Failure::Timeout, Failure::ServerFailure(None)],
                Verdict::ServerFailure { reason: None },
            ),
            (
                vec![Failure::Unreachable("no route".into()), Failure::NoData],
                Verdict::Unreachable {
                    reason: "no route".into(),
                },
            ),
        ] {
            assert_eq!(
                judge(&apex("x.test"), &failed(&failures), &targets),
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
            judge(&apex("x.test"), &answer, &expect(&["192.0.2.1"])),
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
            judge(
                &apex("x.test"),
                &alias(&["edge.example", "LB.cloud.example"]),
                &targets
            ),
            Verdict::CnameToExpected {
                target: "LB.cloud.example".into()
            }
        );
        assert_eq!(
            judge(&apex("x.test"), &alias(&["old.cloud.example"]), &targets),
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
            judge(&apex("x.test"), &answer, &expect(&["192.0.2.1"])),
            Verdict::Matches
        );
    }

    #[test]
    fn absence_below_the_domain_is_a_missing_wildcard() {
        let probe = Probe {
            purpose: Purpose::Wildcard,
            ..apex("r.x.test")
        };
        assert_eq!(
            judge(&probe, &failed(&[Failure::NxDomain]), &expect(&["192.0.2.1"])),
            Verdict::MissingWildcard {
                kind: Missing::NxDomain
            }
        );
    }

    #[test]
    fn chain_without_end_is_no_missing_record() {
        let link = |at: usize| format!("l{at}.test");
        let answer = Answer {
            chain: (0..CHAIN_MAX).map(link).collect(),
            failures: vec![Failure::NoData],
            ..Answer::default()
        };
        let verdict = judge(&apex("x.test"), &answer, &expect(&["192.0.2.1"]));
        assert_eq!(verdict, Verdict::CnameTooLong { length: CHAIN_MAX });
        assert!(verdict.needs_record());
    }

    #[test]
    fn without_an_expectation_nothing_is_right_or_wrong() {
        let verdict = judge(&apex("x.test"), &found(&["192.0.2.1"]), &Targets::default());
        assert_eq!(verdict, Verdict::Unjudged);
        assert!(!verdict.is_ok() && !verdict.needs_record());
    }

    #[test]
    fn bogus_outweighs_other_failures() {
        let failures = [Failure::Timeout, Failure::Bogus(Some("expired".into()))];
        assert_eq!(
            judge(&apex("x.test"), &failed(&failures), &expect(&["192.0.2.1"])),
            Verdict::DnssecBogus {
                reason: Some("expired".into())
            }
        );
    }

    #[test]
    fn loop_is_named() {
        let answer = Answer {
            is_loop: true,
            ..alias(&["b.test", "a.test"])
        };
        assert_eq!(
            judge(&apex("a.test"), &answer, &expect(&["192.0.2.1"])),
            Verdict::CnameLoop
        );
    }

    #[test]
    fn localhost_is_right_only_when_loopback_is_expected() {
        let answer = found(&["127.0.0.1", "::1"]);
        assert_eq!(
            judge(&apex("a.silica.localhost"), &answer, &expect(&["127.0.0.1"])),
            Verdict::LocalhostName
        );
        assert!(!judge(&apex("a.silica.localhost"), &answer, &expect(&["192.0.2.1"])).is_ok());
        assert!(!judge(&apex("a.silica.test"), &answer, &expect(&["127.0.0.1"])).is_ok());
    }
}
