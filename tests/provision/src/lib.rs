//! What the local cluster and the tests need before any of Silica is compiled: programs that Go
//! builds from source, Debian packages, and lines that tell how far that is.
//!
//! This crate stays small. `cargo xtask` starts with it, so that the long builds run beside the
//! compilation of everything else.

pub mod build;
mod cache;
pub mod command;
pub mod packages;
pub mod progress;
pub mod timeline;
pub mod workspace;

pub use cache::cache_dir;
