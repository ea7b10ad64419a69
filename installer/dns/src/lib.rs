//! Says whether DNS leads a domain and its wildcard to a Silica installation,
//! and which records are missing.
//!
//! The same names are looked at through several views: the resolver of this
//! machine as the E2B Python SDK asks it, getaddrinfo, every name server of the
//! zone, chosen and public resolvers, and the DNS service of the cluster. Where
//! they disagree, the difference tells what is wrong: a cache that is behind, a
//! secondary that lacks the new version, a second zone with the same name.
//!
//! - [`probe`] chooses the names to ask for
//! - [`exchange`] asks one server, [`view`] asks through one kind of eyes
//! - [`answer`] reads, [`verdict`] judges one answer, `compare` all of them
//! - [`check`] puts these together, [`mod@wait`] repeats it until all is right
//! - [`records`] says what to create, [`caa`] who may issue certificates
//! - [`report`] is the outcome, for people and as JSON

pub mod answer;
pub mod caa;
pub mod check;
mod compare;
pub mod exchange;
mod name;
pub mod probe;
pub mod records;
pub mod report;
pub mod verdict;
pub mod view;
pub mod wait;
mod whose;

pub use check::{Error, PUBLIC, Request, verify};
pub use name::BadName;
pub use records::{
    Record, RecordKind, records_to_create, render_dnscontrol, render_route53, render_table, render_zone,
};
pub use report::{Finding, ProbeReport, Report, Severity, ViewReport};
pub use verdict::{Expected, Missing, Verdict};
pub use view::ViewKind;
pub use view::authority::{NameServer, Zone};
pub use view::cluster::{ClusterDns, Connecting, Connection};
pub use view::system::SystemChoice;
pub use wait::{Progress, wait};
