//! The command line of `cargo xtask`, which the starter in this crate and the program behind it
//! (`tests/dev`) share.

pub mod cli;
