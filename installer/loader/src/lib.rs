//! Puts an executable together that travels in chunks, each in a ConfigMap of its own.
//!
//! The chunks are mounted into one folder. Joined they are one Zstandard stream (RFC 8878),
//! and what it unpacks to must have the expected SHA-256. Without the standard library: the
//! program, statically linked, has to fit a ConfigMap (1 MiB) itself.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod args;
pub mod files;
pub mod unpack;
