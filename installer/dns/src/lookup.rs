//! Asks name servers. The only part of the crate with IO.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::probe::{self, Probe};
use crate::report::{ProbeReport, Report};
use crate::verdict::{self, Answer, Expected, Failure, Targets};

/// CNAME records that are followed: resolvers give up at 8 to 16.
const CHAIN_MAX: usize = 8;

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The domain or an expected host name is not a DNS name.
    #[error("{name:?} is not a DNS name: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The system's resolver configuration cannot be read.
    #[error("failed to read the resolver configuration of the system")]
    SystemConfig(#[source] NetError),
    /// The resolver cannot be set up.
    #[error("failed to set up the resolver")]
    Resolver(#[source] NetError),
}

/// Which name servers to ask.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ResolverChoice {
    /// Those of the system, with its hosts file: what clients here see.
    #[default]
    System,
    /// These, without the hosts file: for example the servers of the zone.
    Servers(Vec<SocketAddr>),
}

/// What to check.
#[derive(Clone, Debug)]
pub struct Request {
    /// The domain, without wildcard.
    pub domain: String,
    /// Where it should lead.
    pub expected: Vec<Expected>,
    /// Whom to ask.
    pub resolvers: ResolverChoice,
    /// How long one question may take, retries included.
    pub timeout: Duration,
}

/// Checks the domain, `api.`, a random name and a name in the form of a sandbox
/// address, all at the same time. Trouble with DNS is a verdict in the report;
/// an error means that nothing could be asked at all.
pub async fn verify(request: &Request) -> Result<Report, Error> {
    let domain = request
        .domain
        .strip_suffix('.')
        .unwrap_or(&request.domain)
        .to_ascii_lowercase();
    let client = Client::new(&request.resolvers, request.timeout)?;
    let probes = probe::probes(&domain, rand::random());
    let mut names = Vec::with_capacity(probes.len());
    for probe in &probes {
        names.push(absolute(&probe.name)?);
    }
    let targets = client.targets(&request.expected).await?;

    let [apex, api, random, sandbox] = &probes;
    let ask = |probe: &Probe, name: &Name| {
        let (client, targets, probe, name) = (&client, &targets, probe.clone(), name.clone());
        async move { client.report(probe, &name, targets).await }
    };
    let (apex, api, random, sandbox) = tokio::join!(
        ask(apex, &names[0]),
        ask(api, &names[1]),
        ask(random, &names[2]),
        ask(sandbox, &names[3])
    );
    let reports = vec![apex, api, random, sandbox];
    Ok(Report::new(
        domain,
        request.expected.clone(),
        client.servers,
        reports,
    ))
}

struct Client {
    resolver: TokioResolver,
    timeout: Duration,
    /// Addresses of the name servers, for the report.
    servers: Vec<String>,
}

impl Client {
    fn new(choice: &ResolverChoice, timeout: Duration) -> Result<Self, Error> {
        let (config, mut options) = match choice {
            ResolverChoice::System => {
                hickory_resolver::system_conf::read_system_conf().map_err(Error::SystemConfig)?
            }
            ResolverChoice::Servers(servers) => {
                let servers = servers.iter().map(name_server).collect();
                let mut options = ResolverOpts::default();
                options.use_hosts_file = ResolveHosts::Never;
                (ResolverConfig::from_name_servers(servers), options)
            }
        };
        let servers = config.name_servers().iter().map(describe).collect();
        // Names end in a dot, so search lists and ndots play no part.
        options.timeout = timeout / 3;
        options.attempts = 1;
        options.try_tcp_on_error = true;
        options.preserve_intermediates = true;
        // Each check asks anew: a record may have been created since.
        options.cache_size = 0;
        let resolver =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
        let resolver = resolver.build().map_err(Error::Resolver)?;
        Ok(Self {
            resolver,
            timeout,
            servers,
        })
    }

    /// What is expected, with the addresses of host names looked up.
    async fn targets(&self, expected: &[Expected]) -> Result<Targets, Error> {
        let mut targets = Targets::default();
        for expected in expected {
            match expected {
                Expected::Ip(address) => targets.addresses.push(*address),
                Expected::Hostname(hostname) => {
                    let name = absolute(hostname)?;
                    targets.hostnames.push(text(&name));
                    targets.addresses.extend(self.answer(&name).await.addresses);
                }
            }
        }
        targets.addresses.sort_unstable();
        targets.addresses.dedup();
        Ok(targets)
    }

    async fn report(&self, probe: Probe, name: &Name, targets: &Targets) -> ProbeReport {
        let answer = self.answer(name).await;
        let verdict = verdict::judge(&probe.name, &answer, targets);
        ProbeReport {
            ok: verdict.is_ok(),
            message: verdict.to_string(),
            name: probe.name,
            purpose: probe.purpose,
            chain: answer.chain,
            addresses: answer.addresses,
            ttl: answer.ttl,
            verdict,
        }
    }

    /// A and AAAA together; the CNAME chain also when it leads nowhere.
    async fn answer(&self, name: &Name) -> Answer {
        let (four, six) = tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA));
        let mut answer = Answer::default();
        for outcome in [four, six] {
            match outcome {
                Ok(found) => {
                    if answer.chain.is_empty() {
                        answer.chain = found.chain;
                    }
                    answer.addresses.extend(found.addresses);
                    answer.ttl = answer.ttl.into_iter().chain(found.ttl).min();
                }
                Err(failure) => answer.failures.push(failure),
            }
        }
        answer.addresses.sort_unstable();
        answer.addresses.dedup();
        if answer.addresses.is_empty() {
            (answer.chain, answer.is_loop) = self.walk(name).await;
        }
        answer
    }

    /// Follows CNAME records one by one, and says whether they run in a circle.
    async fn walk(&self, name: &Name) -> (Vec<String>, bool) {
        let mut chain: Vec<String> = Vec::new();
        let mut at = name.clone();
        while chain.len() < CHAIN_MAX {
            let Ok(found) = self.ask(&at, RecordType::CNAME).await else {
                break;
            };
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

    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Found, Failure> {
        let asked = tokio::time::timeout(self.timeout, self.resolver.lookup(name.clone(), kind)).await;
        let lookup = asked
            .map_err(|_| Failure::Timeout)?
            .map_err(|error| failure(&error))?;
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
            return Err(Failure::NoData);
        }
        Ok(found)
    }
}

#[derive(Default)]
struct Found {
    chain: Vec<String>,
    addresses: Vec<IpAddr>,
    ttl: Option<u32>,
}

fn failure(error: &NetError) -> Failure {
    match error {
        NetError::Timeout => Failure::Timeout,
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Failure::NxDomain,
            ResponseCode::ServFail => Failure::ServerFailure,
            ResponseCode::Refused => Failure::Refused,
            _ => Failure::NoData,
        },
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => Failure::ServerFailure,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => Failure::Refused,
        other => Failure::Unreachable(other.to_string()),
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn describe(server: &NameServerConfig) -> String {
    let port = server
        .connections
        .first()
        .map_or(53, |connection| connection.port);
    SocketAddr::new(server.ip, port).to_string()
}

/// The name with its final dot: no search list is tried.
fn absolute(name: &str) -> Result<Name, Error> {
    let bad = |reason: String| Error::Name {
        name: name.to_owned(),
        reason,
    };
    if name.is_empty() || name.contains('*') {
        return Err(bad("a full name without wildcard is needed".to_owned()));
    }
    let mut parsed = Name::from_utf8(name).map_err(|error| bad(error.to_string()))?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

fn text(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}
