//! Processes started through the API.
//!
//! One task owns one child ([`task`]); everybody else talks to it through a
//! [`Handle`] and listens through its [`hub`]. A process outlives the request
//! that started it.

mod command;
mod control;
mod event;
mod handle;
mod hub;
mod input;
mod output;
mod reaper;
mod registry;
pub mod service;
mod task;

pub use command::{Plan, StartError, compose_env};
pub use control::ControlError;
pub use event::{End, Event, OutputKind};
pub use handle::{Handle, Info};
pub use hub::Subscription;
pub use reaper::{Exit, Reaper};
pub use registry::{Processes, Selector};
pub use task::start;
