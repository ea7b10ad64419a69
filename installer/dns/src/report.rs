//! The outcome of a check.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::probe::Purpose;
use crate::records::{self, Record};
use crate::verdict::{Expected, Verdict};

/// What was found for one name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ProbeReport {
    /// The name.
    pub name: String,
    /// What it stands for.
    pub purpose: Purpose,
    /// CNAME targets on the way.
    pub chain: Vec<String>,
    /// Addresses at the end.
    pub addresses: Vec<IpAddr>,
    /// Shortest remaining life of the records in seconds: how long a resolver
    /// may go on with what was found.
    pub ttl: Option<u32>,
    /// The judgement.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether clients reach the installation by this name.
    pub ok: bool,
    /// The judgement for people.
    pub message: String,
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.verdict)?;
        if !self.chain.is_empty() {
            write!(f, " (via {})", self.chain.join(" -> "))?;
        }
        Ok(())
    }
}

/// The outcome for a domain.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Report {
    /// The domain.
    pub domain: String,
    /// Where its names should lead.
    pub expected: Vec<Expected>,
    /// The name servers that were asked; empty when the system has none.
    pub resolvers: Vec<String>,
    /// Every name that was asked for.
    pub probes: Vec<ProbeReport>,
    /// Whether all names are right.
    pub ok: bool,
    /// Records that are missing or wrong, as they should be.
    pub records: Vec<Record>,
}

impl Report {
    pub(crate) fn new(
        domain: String,
        expected: Vec<Expected>,
        resolvers: Vec<String>,
        probes: Vec<ProbeReport>,
    ) -> Self {
        let ok = probes.iter().all(|probe| probe.ok);
        let needed = |below_wildcard: bool| {
            probes.iter().any(|probe| {
                probe.purpose.is_below_wildcard() == below_wildcard && probe.verdict.needs_record()
            })
        };
        let (apex, wildcard) = (needed(false), needed(true));
        let records = records::records_to_create(&domain, &expected)
            .into_iter()
            .filter(|record| {
                if record.name.starts_with("*.") {
                    wildcard
                } else {
                    apex
                }
            })
            .collect();
        Self {
            domain,
            expected,
            resolvers,
            probes,
            ok,
            records,
        }
    }

    /// The records that are missing or wrong, as they should be. Empty when all
    /// is right, and when only a name server has to be repaired.
    pub fn records_to_create(&self) -> &[Record] {
        &self.records
    }
}
