//! The data plane: requests for a port of a sandbox, streamed both ways.

mod body;
mod connection;
mod error;
mod forward;
mod headers;
mod internal;
mod loopback;
mod page;
mod peer;
mod upgrade;
mod upstream;
mod wake;

pub(crate) use connection::{Error as UpstreamError, RequestBody};
pub(crate) use error::{Aborted, Failure};
pub(crate) use forward::{Stop, forward};
pub(crate) use page::Form;
pub(crate) use peer::{Peer, Scheme};
pub(crate) use upstream::{Connections, DialPatience, Target, send};
