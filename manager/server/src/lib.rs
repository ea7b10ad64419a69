//! The server role: the E2B REST API and the data-plane proxy, on one listener.
//!
//! A request enters through [`listener`], [`dispatch`] decides by host, path and
//! routing headers whether it belongs to the [`api`] or to a sandbox ([`proxy`]),
//! and both read the watch-fed view of the cluster in [`store`].

mod admin;
mod api;
mod auth;
mod change;
mod claim;
mod config;
mod daemon;
mod dispatch;
mod error;
mod idempotency;
mod initialise;
mod listener;
mod locks;
mod lookup;
#[cfg(test)]
mod loopback_tests;
mod metrics;
mod objects;
mod proxy;
mod ready;
mod secret;
mod serve;
mod state;
mod store;
mod tls;

pub use admin::{Readiness, serve as serve_admin};
pub use config::{Auth, Config};
pub use serve::{Error, Shutdown, run};
