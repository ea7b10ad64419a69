//! From where DNS is looked at. Clients see it through different eyes: each view
//! is one of them.

pub mod authority;
pub mod cluster;
pub mod libc;
pub mod server;
pub mod system;

use std::net::SocketAddr;

use serde::Serialize;

use crate::answer::Answer;

/// Kind of a view.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViewKind {
    /// Resolver of this machine, asked as the E2B Python SDK asks it
    System,
    /// getaddrinfo of this machine, as curl, Node and older SDKs ask it
    Libc,
    /// Each name server of the zone, without any cache
    Authoritative,
    /// Resolvers named with --resolver
    Resolver,
    /// Well-known public resolvers, with --public
    Public,
    /// DNS inside of the cluster, as agents in pods see it
    Cluster,
}

impl ViewKind {
    /// Whether clients of the installation are lost when this view is wrong. The
    /// others are told as warnings.
    pub fn decides(self) -> bool {
        !matches!(self, Self::Libc | Self::Cluster)
    }

    /// Whether the answers come through a cache.
    pub fn is_cached(self) -> bool {
        self != Self::Authoritative
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::System => "this machine",
            Self::Libc => "getaddrinfo",
            Self::Authoritative => "name server",
            Self::Resolver => "resolver",
            Self::Public => "public resolver",
            Self::Cluster => "cluster",
        }
    }
}

/// What one view answered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) kind: ViewKind,
    /// Who was asked.
    pub(crate) source: String,
    /// Version of the zone, where it is known.
    pub(crate) serial: Option<u32>,
    /// One answer for each probe, or why there is none.
    pub(crate) answers: Result<Vec<Answer>, String>,
}

impl Seen {
    pub(crate) fn absent(kind: ViewKind, source: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            kind,
            source: source.into(),
            serial: None,
            answers: Err(reason.into()),
        }
    }
}

/// An address with its port, unless that is the one of DNS.
pub(crate) fn describe(server: SocketAddr) -> String {
    if server.port() == 53 {
        server.ip().to_string()
    } else {
        server.to_string()
    }
}
