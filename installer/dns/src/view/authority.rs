//! The name servers of the zone: what is true before any cache.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::{join, join_all};
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::server::{Server, ask_any};
use super::{Seen, ViewKind, describe};
use crate::answer::{Failure, Found, failure};
use crate::exchange::{self, Mode};
use crate::name::{BadName, absolute, text};

/// Port of name servers.
pub const PORT: u16 = 53;
/// Addresses of name servers that are asked: more than any usual zone has.
const SERVERS_MAX: usize = 16;

/// Why the name servers are not known.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] BadName),
    /// No resolver answered.
    #[error("no resolver tells the zone of {domain}: {why}")]
    NoAnswer {
        /// The domain.
        domain: String,
        /// The last failure.
        why: String,
    },
    /// No resolver knows a zone for the name.
    #[error("no zone is known for {domain}")]
    NoZone {
        /// The domain.
        domain: String,
    },
    /// The zone has no name server with an address.
    #[error("no name server of zone {zone} has an address")]
    NoServer {
        /// The zone.
        zone: String,
    },
}

/// A name server of a zone.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct NameServer {
    /// Its name, without final dot.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
}

/// A zone with its name servers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Zone {
    /// Its name, without final dot.
    pub name: String,
    /// Its name servers, each with every address.
    pub servers: Vec<NameServer>,
}

impl Zone {
    /// The names of its name servers, each once.
    pub fn server_names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.servers.iter().map(|server| &server.name).collect();
        names.into_iter().cloned().collect()
    }

    /// Finds the zone that a name lives in: the owner of the SOA record that
    /// comes with an answer or with its absence (RFC 2308 section 3). The
    /// resolvers are asked at once, the first answer counts.
    pub async fn find(
        domain: &str,
        resolvers: &[SocketAddr],
        port: u16,
        limit: Duration,
    ) -> Result<Self, Error> {
        let domain = absolute(domain)?;
        let zone = find_cut(&domain, resolvers, limit).await?;
        let servers = find_servers(&zone, resolvers, port, limit).await;
        if servers.is_empty() {
            return Err(Error::NoServer { zone: text(&zone) });
        }
        Ok(Self {
            name: text(&zone),
            servers,
        })
    }
}

async fn find_cut(domain: &Name, resolvers: &[SocketAddr], limit: Duration) -> Result<Name, Error> {
    let mut at = domain.clone();
    // The top-level domain is nobody's own zone.
    while at.num_labels() > 1 {
        let message = ask_any(resolvers, &at, RecordType::SOA, limit)
            .await
            .map_err(|error| Error::NoAnswer {
                domain: text(domain),
                why: error.to_string(),
            })?;
        match failure(&message) {
            Failure::NoData | Failure::NxDomain => {}
            other => {
                return Err(Error::NoAnswer {
                    domain: text(domain),
                    why: format!("{other:?}"),
                });
            }
        }
        let owners = message.answers.iter().chain(&message.authorities);
        let owner = owners
            .filter(|record| record.record_type() == RecordType::SOA)
            .map(|record| &record.name)
            // The SOA of an alias' target is another zone's.
            .find(|owner| owner.zone_of(domain));
        if let Some(owner) = owner {
            return Ok(owner.clone());
        }
        at = at.base_name();
    }
    Err(Error::NoZone { domain: text(domain) })
}

async fn find_servers(zone: &Name, resolvers: &[SocketAddr], port: u16, limit: Duration) -> Vec<NameServer> {
    let Ok(message) = ask_any(resolvers, zone, RecordType::NS, limit).await else {
        return Vec::new();
    };
    let names = message.answers.iter().filter_map(|record| match &record.data {
        RData::NS(name) => Some(name.0.clone()),
        _ => None,
    });
    let found = join_all(names.map(|name| {
        let glue = glue(&message, &name);
        async move {
            let ask = |kind| ask_any(resolvers, &name, kind, limit);
            let (four, six) = join(ask(RecordType::A), ask(RecordType::AAAA)).await;
            let mut addresses = glue;
            for (kind, answer) in [(RecordType::A, four), (RecordType::AAAA, six)] {
                if let Ok(message) = answer {
                    addresses.extend(Found::read(&name, kind, &message).addresses);
                }
            }
            addresses
                .into_iter()
                .map(|address| NameServer {
                    name: text(&name),
                    address: SocketAddr::new(address, port),
                })
                .collect::<Vec<_>>()
        }
    }))
    .await;
    let mut servers: Vec<_> = found.into_iter().flatten().collect();
    servers.sort_unstable();
    servers.dedup();
    servers.truncate(SERVERS_MAX);
    servers
}

fn glue(message: &Message, name: &Name) -> BTreeSet<IpAddr> {
    let records = message.additionals.iter().filter(|record| record.name == *name);
    records
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        })
        .collect()
}

/// Asks one name server of the zone for everything.
pub(crate) async fn look(
    zone: &Zone,
    name_server: &NameServer,
    names: &[Name],
    resolvers: &[SocketAddr],
    limit: Duration,
) -> Seen {
    let source = format!("{} ({})", name_server.name, describe(name_server.address));
    let Ok(cut) = absolute(&zone.name) else {
        return Seen::absent(ViewKind::Authoritative, source, "its zone has no name");
    };
    let server = Server {
        address: name_server.address,
        mode: Mode::Authoritative,
        beyond: Some((&cut, resolvers)),
        limit,
    };
    let soa = exchange::ask(
        name_server.address,
        &cut,
        RecordType::SOA,
        Mode::Authoritative,
        limit,
    );
    let (soa, answers) = join(soa, join_all(names.iter().map(|name| server.answer(name)))).await;
    let soa = match soa {
        Ok(message) => message,
        Err(error) => return Seen::absent(ViewKind::Authoritative, source, error.to_string()),
    };
    if !soa.metadata.authoritative {
        let reason = format!(
            "it is a name server of {} by name only: it answers {} without authority",
            zone.name, soa.metadata.response_code
        );
        return Seen::absent(ViewKind::Authoritative, source, reason);
    }
    let serial = soa.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    });
    Seen {
        kind: ViewKind::Authoritative,
        source,
        serial,
        answers: Ok(answers),
    }
}
