//! How clients reach an installation: its addresses, what serves there, and the views of DNS.

pub mod address;
pub mod cluster_dns;
pub(crate) mod dns;
pub mod exposed;
pub mod gateway;
pub(crate) mod health;
pub mod https;
pub mod probe;
