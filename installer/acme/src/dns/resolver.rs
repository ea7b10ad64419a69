//! Names to addresses, aliases and zones, by the machine's recursive servers.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use futures::future::join_all;
use hickory_proto::{
    op::Message,
    rr::{Name, RData, RecordType},
};

use super::{Error, absolute, query, text};

/// CNAME records that are followed.
const ALIASES_MAX: usize = 8;
/// Recursive servers that are tried, as the C library does.
const SERVERS_MAX: usize = 3;

/// Where to ask. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Resolver {
    recursive: Arc<[SocketAddr]>,
    /// The only servers to ask about zones, when they were named.
    authoritative: Arc<[SocketAddr]>,
    hosts: Arc<[(IpAddr, String)]>,
}

/// A name server of a zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// For people.
    pub name: String,
    /// Where it answers.
    pub addresses: Vec<SocketAddr>,
}

/// The zone that holds a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Zone {
    /// Its apex.
    pub apex: Name,
    /// Everybody who serves it.
    pub servers: Vec<Server>,
}

impl Resolver {
    /// Asks as this machine is configured. With `authoritative`, questions about
    /// zones and records go to these servers only, instead of those that DNS
    /// names: for zones that cannot be seen from here.
    pub fn system(authoritative: Vec<SocketAddr>) -> Self {
        let configuration = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
        Self {
            recursive: servers(&configuration).into(),
            authoritative: authoritative.into(),
            hosts: static_hosts(&hosts).into(),
        }
    }

    /// Addresses of a host.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Ok(vec![address]);
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let known = self.hosts.iter().filter(|(_, name)| *name == host);
        let known: Vec<IpAddr> = known.map(|(address, _)| *address).collect();
        if !known.is_empty() {
            return Ok(known);
        }
        // RFC 6761 section 6.3.
        if host == "localhost" || host.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let name = absolute(&host)?;
        let found = addresses_of(&self.recursive, &name).await?;
        if found.is_empty() {
            return Err(Error::NoAddress { name: host });
        }
        Ok(found)
    }

    /// Where the aliases of a name end, for a challenge that was delegated to
    /// another zone.
    pub async fn follow(&self, name: &str) -> Result<String, Error> {
        let mut at = absolute(name)?;
        for _ in 0..ALIASES_MAX {
            let answer = self.ask(&at, RecordType::CNAME).await?;
            let next = answer.answers.iter().find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == at => Some(target.0.to_lowercase()),
                _ => None,
            });
            match next {
                Some(target) => at = target,
                None => return Ok(text(&at)),
            }
        }
        Err(Error::Aliases {
            name: name.to_owned(),
        })
    }

    /// The zone of a name with its servers.
    pub async fn zone(&self, name: &str) -> Result<Zone, Error> {
        let wanted = absolute(name)?;
        let apex = self.apex(&wanted).await?;
        if !self.authoritative.is_empty() {
            let named = self.authoritative.iter().map(|address| Server {
                name: address.to_string(),
                addresses: vec![*address],
            });
            return Ok(Zone {
                apex,
                servers: named.collect(),
            });
        }
        let answer = self.ask(&apex, RecordType::NS).await?;
        let names = answer.answers.iter().filter_map(|record| match &record.data {
            RData::NS(server) => Some(server.0.clone()),
            _ => None,
        });
        let servers = join_all(names.map(async |name| {
            let found = addresses_of(&self.recursive, &name).await.unwrap_or_default();
            Server {
                name: text(&name),
                addresses: found.into_iter().map(|ip| SocketAddr::new(ip, 53)).collect(),
            }
        }))
        .await;
        if servers.iter().all(|server| server.addresses.is_empty()) {
            return Err(Error::NoServers { zone: text(&apex) });
        }
        Ok(Zone { apex, servers })
    }

    /// The zone cut above or at the name: whose SOA is given for it.
    async fn apex(&self, name: &Name) -> Result<Name, Error> {
        let servers = self.servers();
        apex(servers, name, self.authoritative.is_empty()).await
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Message, Error> {
        ask(self.servers(), name, kind, self.authoritative.is_empty()).await
    }

    fn servers(&self) -> &[SocketAddr] {
        if self.authoritative.is_empty() {
            &self.recursive
        } else {
            &self.authoritative
        }
    }
}

/// The zone cut above or at the name, as these servers see it.
pub(crate) async fn apex(servers: &[SocketAddr], name: &Name, is_recursive: bool) -> Result<Name, Error> {
    let mut at = name.clone();
    while !at.is_root() {
        let answer = ask(servers, &at, RecordType::SOA, is_recursive).await?;
        let records = answer.answers.iter().chain(&answer.authorities);
        let found = records
            .filter(|record| matches!(record.data, RData::SOA(_)))
            .map(|record| record.name.to_lowercase())
            .find(|apex| apex.zone_of(name));
        match found {
            Some(apex) if !apex.is_root() => return Ok(apex),
            _ => at = at.base_name(),
        }
    }
    Err(Error::NoZone { name: text(name) })
}

/// The first answer of a server.
async fn ask(
    servers: &[SocketAddr],
    name: &Name,
    kind: RecordType,
    is_recursive: bool,
) -> Result<Message, Error> {
    let mut failures = Vec::new();
    for server in servers {
        match query(*server, name, kind, is_recursive).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failures.push((*server, failure)),
        }
    }
    Err(Error::NoAnswer {
        name: text(name),
        kind: kind.to_string(),
        failures,
    })
}

/// A and AAAA; one of them is enough.
async fn addresses_of(servers: &[SocketAddr], name: &Name) -> Result<Vec<IpAddr>, Error> {
    let (four, six) = tokio::join!(
        ask(servers, name, RecordType::A, true),
        ask(servers, name, RecordType::AAAA, true)
    );
    let (four, six) = match (four, six) {
        (Err(error), Err(_)) => return Err(error),
        (four, six) => (four.ok(), six.ok()),
    };
    let records = [four, six]
        .into_iter()
        .flatten()
        .flat_map(|answer| answer.answers);
    Ok(records
        .filter_map(|record| match record.data {
            RData::A(address) => Some(address.0.into()),
            RData::AAAA(address) => Some(address.0.into()),
            _ => None,
        })
        .collect())
}

/// The `nameserver` lines of resolv.conf(5); this machine when there are none.
fn servers(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse().ok())?
    });
    let mut found: Vec<SocketAddr> = named.map(|ip: IpAddr| SocketAddr::new(ip, 53)).collect();
    found.truncate(SERVERS_MAX);
    if found.is_empty() {
        found.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
    }
    found
}

/// The lines of hosts(5).
fn static_hosts(text: &str) -> Vec<(IpAddr, String)> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let each = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        Some(words.map(move |name| (address, name.to_ascii_lowercase())))
    });
    each.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_bounded() {
        let text = "search a\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver x\n";
        let found: Vec<_> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert_eq!(servers("").len(), 1);
    }

    #[test]
    fn hosts_lines_may_have_comments_and_several_names() {
        let found = static_hosts("# 1.1.1.1 no\n192.0.2.1 CA.example ca # 2\n");
        let names: Vec<_> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["ca.example", "ca"]);
    }
}
