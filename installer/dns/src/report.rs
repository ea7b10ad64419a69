//! The outcome of a check.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::caa::Caa;
use crate::probe::Purpose;
use crate::records::Record;
use crate::verdict::{Expected, Verdict};
use crate::view::ViewKind;

/// Version of the report's form. It grows when a field changes its meaning or
/// goes away; new fields may come at any time.
pub const SCHEMA: u32 = 1;

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
    /// may go on with what was found, be it nothing.
    pub ttl: Option<u32>,
    /// The judgement.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether clients reach the installation by this name.
    pub ok: bool,
    /// The judgement for people.
    pub message: String,
}

impl ProbeReport {
    /// Replaces the judgement.
    pub(crate) fn rejudge(&mut self, verdict: Verdict) {
        self.ok = verdict.is_ok();
        self.message = verdict.to_string();
        self.verdict = verdict;
    }
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.verdict)?;
        if !self.chain.is_empty() {
            write!(f, " (via {})", self.chain.join(" -> "))?;
        }
        match (self.ttl, &self.verdict) {
            (Some(ttl), Verdict::WrongAddress { .. }) => write!(f, " (TTL {ttl} s)"),
            _ => Ok(()),
        }
    }
}

/// What one view shows.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ViewReport {
    /// Its kind.
    pub view: ViewKind,
    /// Who was asked.
    pub source: String,
    /// Whether the outcome depends on it; else its failures are warnings.
    pub decides: bool,
    /// Whether all names are right in it; absent when it could not be asked.
    pub ok: Option<bool>,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// Serial number of the zone at this name server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// Every name that was asked for; empty when it could not be asked.
    pub names: Vec<ProbeReport>,
}

impl ViewReport {
    /// Recomputes `ok` after names were judged again.
    pub(crate) fn settle(&mut self) {
        self.ok = self
            .absent
            .is_none()
            .then(|| self.names.iter().all(|name| name.ok));
    }

    /// Who it is, for people: kind and source.
    pub fn title(&self) -> String {
        if self.source.is_empty() {
            self.view.title().to_owned()
        } else {
            format!("{} {}", self.view.title(), self.source)
        }
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Clients may be fine.
    Warn,
    /// Clients are lost.
    Fail,
}

/// Something that no single name shows.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Stable name for programs.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was seen.
    pub detail: String,
    /// What to do.
    pub hint: String,
}

/// The zone that the domain lives in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ZoneReport {
    /// Its name.
    pub name: String,
    /// Its name servers.
    pub servers: Vec<String>,
}

/// The outcome for a domain.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Version of this form.
    pub schema: u32,
    /// The domain.
    pub domain: String,
    /// Where its names should lead.
    pub expected: Vec<Expected>,
    /// The zone, when it is known.
    pub zone: Option<ZoneReport>,
    /// Every view.
    pub views: Vec<ViewReport>,
    /// What the views show together.
    pub findings: Vec<Finding>,
    /// CAA records that hold for the domain, when there are any.
    pub caa: Option<Caa>,
    /// Whether clients reach the installation by all names.
    pub ok: bool,
    /// Records that are missing or wrong, as they should be.
    pub records: Vec<Record>,
}

impl Report {
    /// The records that are missing or wrong, as they should be. Empty when all
    /// is right, and when only a name server has to be repaired.
    pub fn records_to_create(&self) -> &[Record] {
        &self.records
    }

    /// Views of a kind.
    pub fn of(&self, kind: ViewKind) -> impl Iterator<Item = &ViewReport> {
        self.views.iter().filter(move |view| view.view == kind)
    }

    /// The verdicts of the views that could be asked, with those views.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&ViewReport, &ProbeReport)> {
        self.views
            .iter()
            .flat_map(|view| view.names.iter().map(move |name| (view, name)))
    }
}
