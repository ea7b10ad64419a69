//! The resolver of this machine, asked with hickory as the E2B Python SDK does.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::{join, join_all};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::server::Server;
use super::{Seen, ViewKind, describe};
use crate::answer::{Answer, CHAIN_MAX, Failure, Found};
use crate::exchange::Mode;
use crate::name::{BadName, absolute, text};
use crate::verdict::{self, Expected, Targets};

/// Why the resolver of this machine cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its configuration cannot be read.
    #[error("failed to read the resolver configuration of the system")]
    Config(#[source] NetError),
    /// The resolver cannot be set up.
    #[error("failed to set up the resolver")]
    Resolver(#[source] NetError),
}

/// Which name servers stand for this machine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum SystemChoice {
    /// Those of its configuration, with its hosts file: what clients here see.
    #[default]
    Configured,
    /// These, without the hosts file.
    Servers(Vec<SocketAddr>),
}

/// The resolver.
pub(crate) struct System {
    resolver: TokioResolver,
    limit: Duration,
    /// Its name servers.
    pub(crate) servers: Vec<SocketAddr>,
}

impl System {
    pub(crate) fn new(choice: &SystemChoice, limit: Duration) -> Result<Self, Error> {
        let (config, mut options) = match choice {
            SystemChoice::Configured => {
                hickory_resolver::system_conf::read_system_conf().map_err(Error::Config)?
            }
            SystemChoice::Servers(servers) => {
                let servers = servers.iter().map(name_server).collect();
                let mut options = ResolverOpts::default();
                options.use_hosts_file = ResolveHosts::Never;
                (ResolverConfig::from_name_servers(servers), options)
            }
        };
        let servers = config.name_servers().iter().map(address).collect();
        // Names end in a dot, so search lists and ndots play no part.
        options.timeout = limit / 3;
        options.attempts = 1;
        options.try_tcp_on_error = true;
        options.preserve_intermediates = true;
        // Each check asks again: a record may have been created since.
        options.cache_size = 0;
        let resolver =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
        let resolver = resolver.build().map_err(Error::Resolver)?;
        Ok(Self {
            resolver,
            limit,
            servers,
        })
    }

    /// Asks for all names at once.
    pub(crate) async fn look(&self, names: &[Name]) -> Seen {
        let sources: Vec<String> = self.servers.iter().copied().map(describe).collect();
        Seen {
            kind: ViewKind::System,
            source: sources.join(", "),
            serial: None,
            answers: Ok(join_all(names.iter().map(|name| self.answer(name))).await),
        }
    }

    /// What is expected, with the addresses of host names looked up.
    pub(crate) async fn targets(&self, expected: &[Expected]) -> Result<Targets, BadName> {
        let mut targets = Targets::default();
        let mut names = Vec::new();
        for expected in expected {
            match expected {
                Expected::Ip(address) => targets.addresses.push(*address),
                Expected::Hostname(hostname) => names.push(absolute(hostname)?),
            }
        }
        for answer in join_all(names.iter().map(|name| self.answer(name))).await {
            targets.addresses.extend(answer.addresses);
        }
        targets.hostnames = names.iter().map(text).collect();
        targets.addresses.sort_unstable();
        targets.addresses.dedup();
        Ok(targets)
    }

    /// A and AAAA together; the CNAME chain also when it leads nowhere.
    async fn answer(&self, name: &Name) -> Answer {
        let (four, six) = join(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA)).await;
        let mut answer = Answer::merge([four, six]);
        if answer.addresses.is_empty() && !answer.is_silence() {
            (answer.chain, answer.is_loop) = self.walk(name).await;
            self.judge_signatures(name, &mut answer).await;
        }
        answer
    }

    /// Follows CNAME records one by one, and says whether they run in a circle.
    async fn walk(&self, name: &Name) -> (Vec<String>, bool) {
        let mut chain: Vec<String> = Vec::new();
        let mut at = name.clone();
        while chain.len() < CHAIN_MAX {
            let found = self.ask(&at, RecordType::CNAME).await;
            let Some(next) = found.chain.into_iter().next() else {
                break;
            };
            let is_loop = verdict::same(&next, &text(name)) || chain.contains(&next);
            let Ok(target) = absolute(&next) else { break };
            chain.push(next);
            if is_loop {
                return (chain, true);
            }
            at = target;
        }
        (chain, false)
    }

    /// A failure is no failure of the server when it answers without validation.
    async fn judge_signatures(&self, name: &Name, answer: &mut Answer) {
        let is_failure = |failure: &Failure| matches!(failure, Failure::ServerFailure(_));
        if !answer.failures.iter().any(is_failure) {
            return;
        }
        let ask = |address| Server {
            address,
            mode: Mode::Recursive,
            beyond: None,
            limit: self.limit,
        };
        let servers: Vec<Server<'_>> = self.servers.iter().copied().map(ask).collect();
        let direct = join_all(servers.iter().map(|server| server.answer(name))).await;
        let reasons = direct.into_iter().flat_map(|direct| direct.failures);
        for reason in
            reasons.filter(|failure| matches!(failure, Failure::Bogus(_) | Failure::ServerFailure(Some(_))))
        {
            answer.failures.push(reason);
        }
        // The one without a reason says nothing beside it.
        if answer
            .failures
            .iter()
            .any(|failure| matches!(failure, Failure::ServerFailure(Some(_))))
        {
            answer
                .failures
                .retain(|failure| *failure != Failure::ServerFailure(None));
        }
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Found {
        let asked = tokio::time::timeout(self.limit, self.resolver.lookup(name.clone(), kind)).await;
        let lookup = match asked {
            Ok(Ok(lookup)) => lookup,
            Ok(Err(error)) => return failed(&error),
            Err(_) => return Found::failed(Failure::Timeout),
        };
        let mut found = Found::default();
        for record in lookup.answers() {
            match &record.data {
                RData::A(address) => found.addresses.push(IpAddr::V4(address.0)),
                RData::AAAA(address) => found.addresses.push(IpAddr::V6(address.0)),
                RData::CNAME(target) => found.chain.push(text(&target.0)),
                _ => continue,
            }
            found.ttl = Some(found.ttl.unwrap_or(u32::MAX).min(record.ttl));
        }
        // A CNAME without an address behind it is not an answer to this question.
        if kind != RecordType::CNAME && found.addresses.is_empty() {
            return Found::failed(Failure::NoData);
        }
        found
    }
}

fn failed(error: &NetError) -> Found {
    let failure = match error {
        NetError::Timeout => Failure::Timeout,
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            let failure = match none.response_code {
                ResponseCode::NXDomain => Failure::NxDomain,
                ResponseCode::ServFail => Failure::ServerFailure(None),
                ResponseCode::Refused => Failure::Refused,
                _ => Failure::NoData,
            };
            return Found {
                ttl: none.negative_ttl,
                ..Found::failed(failure)
            };
        }
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => Failure::ServerFailure(None),
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => Failure::Refused,
        other => Failure::Unreachable(other.to_string()),
    };
    Found::failed(failure)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn address(server: &NameServerConfig) -> SocketAddr {
    let connection = server.connections.first();
    SocketAddr::new(server.ip, connection.map_or(53, |connection| connection.port))
}
