//! What a message says about a name. Pure: no IO.

use std::net::IpAddr;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::exchange;
use crate::name::text;

/// CNAME records that are followed: resolvers give up at 8 to 16.
pub const CHAIN_MAX: usize = 8;

/// Why a question has no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// The name does not exist.
    NxDomain,
    /// The name exists without an address of this kind.
    NoData,
    /// The server failed to answer (SERVFAIL), with what it says about it.
    ServerFailure(Option<String>),
    /// The server refuses what DNSSEC does not prove; without validation it
    /// answers.
    Bogus(Option<String>),
    /// The server refused to answer.
    Refused,
    /// The answer is truncated and TCP does not work.
    Truncated,
    /// No answer in time.
    Timeout,
    /// Any other trouble on the way.
    Unreachable(String),
}

impl From<exchange::Error> for Failure {
    fn from(error: exchange::Error) -> Self {
        match error {
            exchange::Error::Timeout => Self::Timeout,
            exchange::Error::Truncated(_) => Self::Truncated,
            exchange::Error::Unreachable(why) => Self::Unreachable(why),
            malformed @ exchange::Error::Malformed(_) => Self::Unreachable(malformed.to_string()),
        }
    }
}

/// What one view says about one name, A and AAAA taken together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Targets of the CNAME records in their order, without final dots.
    pub chain: Vec<String>,
    /// The chain comes back to a name of its own.
    pub is_loop: bool,
    /// Addresses at the end.
    pub addresses: Vec<IpAddr>,
    /// Shortest remaining life in seconds: of the records, or of the knowledge
    /// that there are none (RFC 2308 section 5).
    pub ttl: Option<u32>,
    /// Failures of the two questions.
    pub failures: Vec<Failure>,
}

impl Answer {
    /// A and AAAA in one.
    pub(crate) fn merge(parts: impl IntoIterator<Item = Found>) -> Self {
        let mut answer = Self::default();
        let (mut life, mut negative_life) = (None, None);
        for found in parts {
            if answer.chain.len() < found.chain.len() {
                answer.chain = found.chain;
            }
            answer.is_loop |= found.is_loop;
            if found.addresses.is_empty() {
                negative_life = negative_life.into_iter().chain(found.ttl).min();
            } else {
                life = life.into_iter().chain(found.ttl).min();
            }
            answer.addresses.extend(found.addresses);
            answer.failures.extend(found.failure);
        }
        answer.addresses.sort_unstable();
        answer.addresses.dedup();
        answer.ttl = life.or(negative_life);
        answer
    }

    /// Whether the view could not say anything: no server to blame for a record.
    pub fn is_silence(&self) -> bool {
        self.addresses.is_empty()
            && self.chain.is_empty()
            && !self.failures.is_empty()
            && self
                .failures
                .iter()
                .all(|failure| matches!(failure, Failure::Timeout | Failure::Unreachable(_)))
    }
}

/// What one message says to one question.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Found {
    pub(crate) chain: Vec<String>,
    pub(crate) is_loop: bool,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ttl: Option<u32>,
    pub(crate) failure: Option<Failure>,
}

impl Found {
    /// No answer, and why.
    pub(crate) fn failed(failure: impl Into<Failure>) -> Self {
        Self {
            failure: Some(failure.into()),
            ..Self::default()
        }
    }

    /// Reads the answer to a question for addresses of this kind: the CNAME
    /// records from the name on, and the addresses at their end.
    pub(crate) fn read(name: &Name, kind: RecordType, message: &Message) -> Self {
        let mut found = Self::default();
        let mut at = name.clone();
        let mut seen = vec![at.clone()];
        while let Some((target, ttl)) = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == at => Some((target.0.clone(), record.ttl)),
            _ => None,
        }) {
            found.chain.push(text(&target));
            found.shorten(ttl);
            if seen.contains(&target) {
                found.is_loop = true;
                return found;
            }
            seen.push(target.clone());
            at = target;
        }
        for record in message.answers.iter().filter(|record| record.name == at) {
            let address = match &record.data {
                RData::A(address) if kind == RecordType::A => IpAddr::V4(address.0),
                RData::AAAA(address) if kind == RecordType::AAAA => IpAddr::V6(address.0),
                _ => continue,
            };
            found.addresses.push(address);
            found.shorten(record.ttl);
        }
        if found.addresses.is_empty() {
            found.failure = Some(failure(message));
            if let Some(ttl) = negative_ttl(message) {
                found.shorten(ttl);
            }
        }
        found
    }

    fn shorten(&mut self, ttl: u32) {
        self.ttl = Some(self.ttl.unwrap_or(u32::MAX).min(ttl));
    }
}

/// Why a message brings no address.
pub(crate) fn failure(message: &Message) -> Failure {
    match message.metadata.response_code {
        ResponseCode::NoError => Failure::NoData,
        ResponseCode::NXDomain => Failure::NxDomain,
        ResponseCode::ServFail => Failure::ServerFailure(extended_error(message)),
        ResponseCode::Refused | ResponseCode::NotAuth => Failure::Refused,
        other => Failure::Unreachable(format!("the server answers {other}")),
    }
}

/// How long a resolver remembers that there is nothing (RFC 2308 section 5).
pub(crate) fn negative_ttl(message: &Message) -> Option<u32> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    })
}

/// What a server says about its failure (RFC 8914).
fn extended_error(message: &Message) -> Option<String> {
    const EXTENDED_ERROR: u16 = 15;
    let option = message.edns.as_ref()?.option(EdnsCode::Unknown(EXTENDED_ERROR))?;
    let EdnsOption::Unknown(_, data) = option else {
        return None;
    };
    let (code, words) = data.split_at_checked(2)?;
    let code = u16::from_be_bytes([code[0], code[1]]);
    let known = match code {
        6 => "DNSSEC bogus",
        7 => "signature expired",
        8 => "signature not yet valid",
        9 => "DNSKEY missing",
        10 => "RRSIGs missing",
        12 => "NSEC missing",
        22 => "no reachable authority",
        23 => "network error",
        _ => "",
    };
    let words = String::from_utf8_lossy(words);
    // Words of a stranger go to a terminal.
    let words: String = words
        .chars()
        .filter(|letter| !letter.is_control())
        .take(200)
        .collect();
    let parts: Vec<&str> = [known, words.trim_matches('\0').trim()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    Some(if parts.is_empty() {
        format!("extended error {code}")
    } else {
        parts.join(": ")
    })
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::op::{Edns, OpCode};
    use hickory_resolver::proto::rr::Record;
    use hickory_resolver::proto::rr::rdata::{A, CNAME, SOA};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn message(records: &[(&str, u32, RData)]) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        for (owner, ttl, data) in records {
            message.add_answer(Record::from_rdata(name(owner), *ttl, data.clone()));
        }
        message
    }

    fn alias(target: &str) -> RData {
        RData::CNAME(CNAME(name(target)))
    }

    fn four(last: u8) -> RData {
        RData::A(A::new(192, 0, 2, last))
    }

    fn read(message: &Message) -> Found {
        Found::read(&name("a.test."), RecordType::A, message)
    }

    #[test]
    fn the_chain_is_followed_whatever_the_order_and_strangers_are_ignored() {
        let found = read(&message(&[
            ("c.test.", 9, four(3)),
            ("x.test.", 1, four(4)),
            ("b.test.", 5, alias("C.test.")),
            ("A.test.", 60, alias("b.test.")),
        ]));
        assert_eq!(found.chain, ["b.test", "C.test"]);
        assert_eq!(found.addresses, ["192.0.2.3".parse::<IpAddr>().unwrap()]);
        assert_eq!((found.ttl, found.failure), (Some(5), None));
    }

    #[test]
    fn a_circle_ends() {
        let found = read(&message(&[
            ("a.test.", 1, alias("b.test.")),
            ("b.test.", 1, alias("a.test.")),
        ]));
        assert!(found.is_loop);
        assert_eq!(found.chain, ["b.test", "a.test"]);
    }

    #[test]
    fn absence_lives_as_long_as_its_proof() {
        let mut message = message(&[]);
        message.metadata.response_code = ResponseCode::NXDomain;
        let soa = SOA::new(name("ns.test."), name("h.test."), 7, 3600, 600, 86400, 45);
        message.add_authority(Record::from_rdata(name("test."), 300, RData::SOA(soa)));
        let found = read(&message);
        assert_eq!((found.ttl, found.failure), (Some(45), Some(Failure::NxDomain)));
    }

    #[test]
    fn a_failing_server_may_say_why() {
        let mut message = message(&[]);
        message.metadata.response_code = ResponseCode::ServFail;
        let mut edns = Edns::new();
        edns.options_mut()
            .insert(EdnsOption::Unknown(15, b"\x00\x07late\x1b[2J".to_vec()));
        message.set_edns(edns);
        assert_eq!(
            failure(&message),
            Failure::ServerFailure(Some("signature expired: late[2J".into()))
        );
    }

    #[test]
    fn addresses_of_one_kind_count_though_the_other_is_absent() {
        let of = |addresses: &[&str], ttl, failure| Found {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ttl: Some(ttl),
            failure,
            ..Found::default()
        };
        let answer = Answer::merge([of(&["192.0.2.1"], 60, None), of(&[], 5, Some(Failure::NoData))]);
        assert_eq!(answer.ttl, Some(60));
        assert!(!answer.is_silence());
        assert!(Answer::merge([Found::failed(Failure::Timeout)]).is_silence());
    }
}
