//! Says whether DNS leads a domain and its wildcard to a Silica installation,
//! and which records are missing.
//!
//! The names are resolved with hickory, the resolver inside of the current E2B
//! Python SDK, so the answer is what a client would get.
//!
//! - [`lookup`] asks (the only part with IO)
//! - [`verdict`] judges what was answered
//! - [`records`] says what to create
//! - [`probe`] chooses the names to ask for
//! - [`report`] is the outcome, for people and as JSON

pub mod lookup;
pub mod probe;
pub mod records;
pub mod report;
pub mod verdict;

pub use lookup::{Error, Request, ResolverChoice, verify};
pub use records::{Record, RecordKind, records_to_create, render_zone};
pub use report::{ProbeReport, Report};
pub use verdict::{Expected, Missing, Verdict};
