//! Whether the domain allows certificates from a public CA (RFC 8659).
//!
//! Only official certificates care: a CA of one's own asks nobody.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RData, RecordType};
use serde::Serialize;

use crate::name::text;
use crate::view::server::ask_any;

/// One CAA record.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Property {
    /// `issue`, `issuewild`, `iodef` or another.
    pub tag: String,
    /// Value.
    pub value: String,
    /// Whether a CA has to refuse when it does not know the tag.
    pub is_critical: bool,
}

/// Who may issue a certificate for the wildcard.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "permission")]
pub enum Permission {
    /// Every CA.
    Anybody,
    /// These CAs.
    Only {
        /// Their domains, as `letsencrypt.org`.
        issuers: Vec<String>,
    },
    /// No CA.
    Nobody,
}

/// The CAA records that hold for a domain.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Caa {
    /// The name that has the records: the domain or one above it.
    pub name: String,
    /// The records.
    pub records: Vec<Property>,
    /// What they say about certificates with the wildcard.
    #[serde(flatten)]
    pub permission: Permission,
}

impl Caa {
    /// Whether this CA may issue.
    pub fn permits(&self, issuer: &str) -> bool {
        match &self.permission {
            Permission::Anybody => true,
            Permission::Only { issuers } => issuers.iter().any(|known| known.eq_ignore_ascii_case(issuer)),
            Permission::Nobody => false,
        }
    }
}

/// Climbs from the domain towards the root; the first name with records counts
/// (RFC 8659 section 3). `None` when there are none, or nobody knows.
pub(crate) async fn find(domain: &Name, resolvers: &[SocketAddr], limit: Duration) -> Option<Caa> {
    let mut at = domain.clone();
    while at.num_labels() > 0 {
        let message = ask_any(resolvers, &at, RecordType::CAA, limit).await.ok()?;
        let records: Vec<Property> = message
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::CAA(caa) => Some(Property {
                    tag: caa.tag.to_ascii_lowercase(),
                    value: String::from_utf8_lossy(&caa.value).into_owned(),
                    is_critical: caa.issuer_critical,
                }),
                _ => None,
            })
            .collect();
        if !records.is_empty() {
            return Some(Caa {
                name: text(&at),
                permission: judge(&records),
                records,
            });
        }
        at = at.base_name();
    }
    None
}

/// What the records say about the wildcard: `issuewild` where there is one, else
/// `issue` (RFC 8659 section 4.3).
fn judge(records: &[Property]) -> Permission {
    const KNOWN: [&str; 5] = ["issue", "issuewild", "iodef", "issuemail", "issuevmc"];
    if records
        .iter()
        .any(|record| record.is_critical && !KNOWN.contains(&record.tag.as_str()))
    {
        return Permission::Nobody;
    }
    let of = |tag: &str| -> Vec<&Property> { records.iter().filter(|record| record.tag == tag).collect() };
    let mut rules = of("issuewild");
    if rules.is_empty() {
        rules = of("issue");
    }
    if rules.is_empty() {
        return Permission::Anybody;
    }
    // Behind the semicolon stand parameters of the CA.
    let mut issuers: Vec<String> = rules
        .iter()
        .filter_map(|rule| rule.value.split(';').next())
        .map(|issuer| issuer.trim().to_ascii_lowercase())
        .filter(|issuer| !issuer.is_empty())
        .collect();
    issuers.sort_unstable();
    issuers.dedup();
    if issuers.is_empty() {
        Permission::Nobody
    } else {
        Permission::Only { issuers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(tag: &str, value: &str) -> Property {
        Property {
            tag: tag.into(),
            value: value.into(),
            is_critical: false,
        }
    }

    fn only(issuer: &str) -> Permission {
        Permission::Only {
            issuers: vec![issuer.into()],
        }
    }

    #[test]
    fn the_wildcard_has_its_own_rule_where_there_is_one() {
        let issue = property("issue", "a.example; accounturi=https://a.example/1");
        assert_eq!(judge(std::slice::from_ref(&issue)), only("a.example"));
        assert_eq!(
            judge(&[issue.clone(), property("issuewild", "b.example")]),
            only("b.example")
        );
        assert_eq!(judge(&[issue, property("issuewild", ";")]), Permission::Nobody);
    }

    #[test]
    fn only_rules_forbid() {
        assert_eq!(
            judge(&[property("iodef", "mailto:a@b.example")]),
            Permission::Anybody
        );
        let critical = Property {
            is_critical: true,
            ..property("future", "x")
        };
        assert_eq!(judge(&[critical]), Permission::Nobody);
    }
}
