//! The records that make a domain work, exactly as they are to be created.

mod providers;

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use serde::Serialize;

pub use self::providers::{render_dnscontrol, render_route53};
use crate::verdict::{Expected, same};

/// Life of the records in seconds: short enough to move within minutes.
pub const TTL: u32 = 300;

/// Type of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Another name of a host.
    Cname,
    /// What providers call ALIAS, ANAME or CNAME flattening: an address record
    /// that follows a host name. Not a type of DNS itself.
    Alias,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Alias => "ALIAS",
        })
    }
}

/// A record to create.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Record {
    /// Full name without final dot; `*.` for the wildcard.
    pub name: String,
    /// The name as most providers ask for it: relative to the zone, `@` for the
    /// zone itself. Absent when the zone is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Type.
    #[serde(rename = "type")]
    pub kind: RecordKind,
    /// Address, or host name without final dot.
    pub value: String,
    /// Life in seconds.
    pub ttl: u32,
    /// What to know about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The records for the domain and its wildcard, in a zone when it is known.
/// Addresses are preferred over host names when both are known.
///
/// A host name becomes a CNAME, but an ALIAS at the zone itself: a CNAME cannot
/// stand beside its SOA and NS records (RFC 1912 section 2.4, RFC 2181 section
/// 10.1).
pub fn records_to_create(domain: &str, expected: &[Expected], zone: Option<&str>) -> Vec<Record> {
    let owners = [domain.to_owned(), format!("*.{domain}")];
    let addresses: Vec<IpAddr> = expected.iter().filter_map(address).collect();
    let record = |name: &str, kind, value: String, note| Record {
        name: name.to_owned(),
        host: zone.map(|zone| relative(name, zone)),
        kind,
        value,
        ttl: TTL,
        note,
    };
    if !addresses.is_empty() {
        let of = |owner: &String| {
            let kind = |address: &IpAddr| {
                if address.is_ipv4() {
                    RecordKind::A
                } else {
                    RecordKind::Aaaa
                }
            };
            addresses
                .iter()
                .map(|address| record(owner, kind(address), address.to_string(), None))
                .collect::<Vec<_>>()
        };
        return owners.iter().flat_map(of).collect();
    }
    let Some(hostname) = expected.iter().find_map(hostname) else {
        return Vec::new();
    };
    let [apex, wildcard] = &owners;
    let at_apex = if zone.is_some_and(|zone| !same(zone, domain)) {
        record(apex, RecordKind::Cname, hostname.clone(), None)
    } else {
        let doubt = match zone {
            Some(_) => String::new(),
            None => format!("; if {domain} is not the apex of its zone, CNAME works"),
        };
        let note = format!(
            "a CNAME is not allowed at the apex of a zone; use ALIAS, ANAME or CNAME flattening of your provider, \
             or A and AAAA records with the addresses of {hostname}{doubt}"
        );
        record(apex, RecordKind::Alias, hostname.clone(), Some(note))
    };
    vec![at_apex, record(wildcard, RecordKind::Cname, hostname, None)]
}

/// A name relative to its zone.
fn relative(name: &str, zone: &str) -> String {
    if same(name, zone) {
        return "@".to_owned();
    }
    let host = name.strip_suffix(zone).and_then(|host| host.strip_suffix('.'));
    host.unwrap_or(name).to_owned()
}

/// The records as the fields that most providers ask for.
pub fn render_table(records: &[Record]) -> String {
    let host = |record: &Record| record.host.clone().unwrap_or_else(|| format!("{}.", record.name));
    let width = records
        .iter()
        .map(|record| host(record).len())
        .max()
        .unwrap_or(0)
        .max("Host".len());
    let mut text = format!("{:<width$}  Type   TTL  Value\n", "Host");
    for record in records {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<width$}  {:<5}  {}  {}",
            host(record),
            record.kind,
            record.ttl,
            record.value
        );
    }
    text
}

/// The records as lines of a zone file (RFC 1035 section 5.1), with absolute
/// names. What a zone file cannot say comes as a comment.
pub fn render_zone(records: &[Record]) -> String {
    let width = records
        .iter()
        .map(|record| record.name.len() + 1)
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for Record {
        name,
        host: _,
        kind,
        value,
        ttl,
        note,
    } in records
    {
        // Writing to a String cannot fail.
        if let Some(note) = note {
            let _ = writeln!(text, "; {note}");
        }
        let owner = format!("{name}.");
        let (comment, dot) = match kind {
            RecordKind::A | RecordKind::Aaaa => ("", ""),
            RecordKind::Cname => ("", "."),
            RecordKind::Alias => ("; ", "."),
        };
        let _ = writeln!(text, "{comment}{owner:<width$} {ttl} IN {kind:<5} {value}{dot}");
    }
    text
}

fn address(expected: &Expected) -> Option<IpAddr> {
    match expected {
        Expected::Ip(address) => Some(*address),
        Expected::Hostname(_) => None,
    }
}

fn hostname(expected: &Expected) -> Option<String> {
    match expected {
        Expected::Ip(_) => None,
        Expected::Hostname(name) => Some(name.strip_suffix('.').unwrap_or(name).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(address: &str) -> Expected {
        Expected::Ip(address.parse().unwrap())
    }

    #[test]
    fn addresses_become_records_for_apex_and_wildcard() {
        let records = records_to_create("x.test", &[ip("192.0.2.1"), ip("2001:db8::1")], None);
        assert_eq!(
            render_zone(&records),
            "x.test.   300 IN A     192.0.2.1\n\
             x.test.   300 IN AAAA  2001:db8::1\n\
             *.x.test. 300 IN A     192.0.2.1\n\
             *.x.test. 300 IN AAAA  2001:db8::1\n"
        );
    }

    #[test]
    fn hostname_becomes_cname_but_never_at_the_apex() {
        let records = records_to_create("x.test", &[Expected::Hostname("lb.cloud.example.".into())], None);
        assert_eq!(records[0].kind, RecordKind::Alias);
        assert_eq!(
            (records[1].kind, records[1].value.as_str()),
            (RecordKind::Cname, "lb.cloud.example")
        );
        let zone = render_zone(&records);
        assert!(
            zone.ends_with("*.x.test. 300 IN CNAME lb.cloud.example.\n"),
            "{zone}"
        );
        assert!(
            zone.lines()
                .filter(|line| line.contains("ALIAS"))
                .all(|line| line.starts_with(';')),
            "{zone}"
        );
    }

    #[test]
    fn below_the_apex_of_its_zone_a_domain_may_be_a_cname() {
        let expected = [Expected::Hostname("lb.cloud.example".into())];
        let records = records_to_create("x.corp.test", &expected, Some("corp.test"));
        assert_eq!(records[0].kind, RecordKind::Cname);
        assert_eq!(
            render_table(&records),
            "Host  Type   TTL  Value\n\
             x     CNAME  300  lb.cloud.example\n\
             *.x   CNAME  300  lb.cloud.example\n"
        );
        assert_eq!(relative("corp.test", "corp.test"), "@");
    }

    #[test]
    fn addresses_win_over_hostnames() {
        let records = records_to_create(
            "x.test",
            &[Expected::Hostname("lb.example".into()), ip("192.0.2.1")],
            None,
        );
        assert!(records.iter().all(|record| record.kind == RecordKind::A));
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn nothing_expected_needs_nothing() {
        assert!(records_to_create("x.test", &[], None).is_empty());
        assert_eq!(render_zone(&[]), "");
    }
}
