//! Dynamic updates (RFC 2136) signed with TSIG: BIND, Knot, `PowerDNS` and
//! others take them.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata::TXT},
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Dns01, Error, TTL, TxtRecord, tsig};
use crate::dns::{self, Failure, Resolver, absolute, send_tcp};

/// How long one update may take.
const UPDATE: Duration = Duration::from_secs(10);

/// Host or address of a name server, with its port.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerAddress {
    host: String,
    port: u16,
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = |host: &str, port| Self {
            host: host.to_owned(),
            port,
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(of(&address.ip().to_string(), address.port()));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(of(&address.to_string(), 53));
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| format!("{port:?} is no port"))?),
            None => (text, 53),
        };
        absolute(host).map_err(|error| error.to_string())?;
        Ok(of(host, port))
    }
}

impl TryFrom<String> for ServerAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ServerAddress> for String {
    fn from(server: ServerAddress) -> Self {
        server.to_string()
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Sends updates to a primary name server.
#[derive(Clone, Debug)]
pub struct Rfc2136 {
    server: ServerAddress,
    key: tsig::Key,
    resolver: Resolver,
}

/// Whether records come or go.
#[derive(Clone, Copy)]
enum Change {
    Add,
    Remove,
}

impl Rfc2136 {
    /// `server` is the primary server of the zone, where `key` may write.
    pub fn new(server: ServerAddress, key: tsig::Key, resolver: Resolver) -> Self {
        Self {
            server,
            key,
            resolver,
        }
    }

    async fn update(&self, change: Change, records: &[TxtRecord]) -> Result<(), Error> {
        let addresses = self.resolver.addresses(&self.server.host).await?;
        let servers: Vec<SocketAddr> = addresses
            .into_iter()
            .map(|ip| SocketAddr::new(ip, self.server.port))
            .collect();
        for (zone, records) in self.by_zone(&servers, records).await? {
            let bytes = self
                .send(&servers, &update(&zone, change, &records)?, &zone)
                .await;
            bytes?;
        }
        Ok(())
    }

    /// The server says itself which of its zones holds a name.
    async fn by_zone(
        &self,
        servers: &[SocketAddr],
        records: &[TxtRecord],
    ) -> Result<BTreeMap<Name, Vec<TxtRecord>>, Error> {
        let mut zones: BTreeMap<Name, Vec<TxtRecord>> = BTreeMap::new();
        for record in records {
            let apex = dns::apex(servers, &absolute(&record.name)?, false).await?;
            zones.entry(apex).or_default().push(record.clone());
        }
        Ok(zones)
    }

    /// Signs and sends to the first address that takes a connection.
    async fn send(&self, servers: &[SocketAddr], message: &Message, zone: &Name) -> Result<(), Error> {
        let server = self.server.to_string();
        let failed = |failure| Error::Send {
            server: server.clone(),
            failure,
        };
        let unwritten = |error: &dyn fmt::Display| Error::Message(error.to_string());
        let mut failure = Failure::Timeout;
        for address in servers {
            // A signature is good for one sending.
            let mut message = message.clone();
            let signer = self.key.signer().map_err(|error| unwritten(&error))?;
            let verifier = message
                .finalize(&signer, seconds())
                .map_err(|error| unwritten(&error))?;
            let bytes = message.to_vec().map_err(|error| unwritten(&error))?;
            // TCP: an update must not be cut off, nor repeated blindly.
            let answer = match timeout(UPDATE, send_tcp(*address, &bytes)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    failure = error;
                    continue;
                }
                Err(_elapsed) => continue,
            };
            let parsed =
                Message::from_vec(&answer).map_err(|error| failed(Failure::Malformed(error.to_string())))?;
            self.judge(&parsed, &server, zone)?;
            // Only now it matters who says so.
            let Some(mut verifier) = verifier else {
                return Ok(());
            };
            return verifier
                .verify(&answer)
                .map(drop)
                .map_err(|error| Error::Unsigned {
                    server: server.clone(),
                    key: self.key.name.clone(),
                    why: error.to_string(),
                });
        }
        Err(failed(failure))
    }

    fn judge(&self, answer: &Message, server: &str, zone: &Name) -> Result<(), Error> {
        let signature = answer.signature.as_ref();
        if let Some(error) = signature.and_then(|record| record.data.error) {
            return Err(tsig::Refusal::of(error, server, &self.key).into());
        }
        match answer.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            code => Err(Error::Refused {
                server: server.to_owned(),
                zone: dns::text(zone),
                code: dns::code(code),
                key: self.key.name.clone(),
            }),
        }
    }
}

/// The message: zone section and update section (RFC 2136 section 2). Pure but
/// for its random id.
fn update(zone: &Name, change: Change, records: &[TxtRecord]) -> Result<Message, Error> {
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Update);
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(zone.clone(), RecordType::SOA));
    for record in records {
        let text = RData::TXT(TXT::new(vec![record.value.clone()]));
        let mut line = Record::from_rdata(absolute(&record.name)?, TTL, text);
        if matches!(change, Change::Remove) {
            // Section 2.5.4: this one record, whatever its TTL.
            line.dns_class = DNSClass::NONE;
            line.ttl = 0;
        }
        message.add_authority(line);
    }
    Ok(message)
}

fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Dns01 for Rfc2136 {
    async fn present(&self, records: &[TxtRecord]) -> Result<(), Error> {
        self.update(Change::Add, records).await
    }

    async fn cleanup(&self, records: &[TxtRecord]) -> Result<(), Error> {
        self.update(Change::Remove, records).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_a_port_and_keep_their_form() {
        let shown = |text: &str| text.parse::<ServerAddress>().unwrap().to_string();
        assert_eq!(shown("192.0.2.1"), "192.0.2.1:53");
        assert_eq!(shown("ns1.example.com"), "ns1.example.com:53");
        assert_eq!(shown("ns1.example.com:5353"), "ns1.example.com:5353");
        assert_eq!(shown("2001:db8::1"), "[2001:db8::1]:53");
        assert_eq!(shown("[2001:db8::1]:5353"), "[2001:db8::1]:5353");
        for bad in ["", "ns1:", "ns1:x", "ns1:70000", "a..b"] {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_removal_names_the_one_record() {
        let zone = absolute("a.example").unwrap();
        let record = TxtRecord {
            name: "_acme-challenge.a.example".into(),
            value: "x".into(),
        };
        let message = update(&zone, Change::Remove, &[record]).unwrap();
        let line = &message.authorities[0];
        assert_eq!((line.dns_class, line.ttl), (DNSClass::NONE, 0));
        assert_eq!(message.queries[0].query_type(), RecordType::SOA);
        assert_eq!(message.metadata.op_code, OpCode::Update);
    }
}
