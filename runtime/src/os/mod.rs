//! System calls that need unsafe code, each behind a safe function.

pub mod memory;
pub mod readiness;
pub mod spawn;
pub mod tty;
pub mod xattr;
