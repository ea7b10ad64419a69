//! Who sends a request.

use std::net::IpAddr;

/// Whether the client spoke TLS to this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    /// Plain; a proxy in front may have ended TLS and says so.
    Http,
    /// TLS ended here.
    Https,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: IpAddr,
    /// What it speaks.
    pub(crate) scheme: Scheme,
}
