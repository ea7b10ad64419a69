//! The checks against real DNS servers on loopback.

#![expect(clippy::unwrap_used, reason = "a test may end at once")]

mod cluster;
mod support;
mod verdicts;
mod views;
mod waiting;
