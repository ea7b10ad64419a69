//! The stages of an installation. Each consumes the former, so that applying
//! without a passed preflight, or verifying without waiting, does not compile.

mod applied;
mod compared;
pub mod connect;
pub(crate) mod owned_fields;
mod prepared;
mod ready;
pub mod rollback;
mod settled;
pub mod verify;
pub mod wait;
mod writing;

pub(crate) use self::prepared::read_resolved;
pub use self::{
    applied::Applied,
    compared::Compared,
    prepared::{Examined, Prepared},
    ready::{Ready, Verified},
};
