//! The data plane: requests for a port of a sandbox, streamed both ways.

mod body;
mod error;
mod forward;
mod headers;
mod internal;
mod loopback;
mod upgrade;
mod upstream;
mod wake;

pub(crate) use error::{Aborted, invalid};
pub(crate) use forward::forward;
pub(crate) use headers::Scheme;
pub(crate) use upstream::{Connections, DialPatience, Error as UpstreamError, RequestBody, Target, send};
