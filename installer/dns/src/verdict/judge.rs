//! From an answer to its verdict. Pure: no IO, no time.

use std::net::IpAddr;

use super::{Missing, Targets, Verdict};
use crate::answer::{Answer, CHAIN_MAX, Failure};
use crate::probe::{Probe, Purpose, is_localhost};

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
