//! Waiting for descriptors that tokio has no type for.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use tokio::io::unix::AsyncFd;

/// An open descriptor whose readiness is watched; it cannot be exchanged while it is.
pub struct Watched<T>(T);

impl<T> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: AsFd> AsRawFd for Watched<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Watches the readiness of a non-blocking descriptor.
#[expect(
    unsafe_code,
    reason = "registration is by number, whose validity the type system cannot see"
)]
pub fn register<T: AsFd>(descriptor: T) -> io::Result<AsyncFd<Watched<T>>> {
    // SAFETY: `AsFd` promises an open descriptor; `Watched` owns it, gives out shared references only and
    // therefore keeps the same number until the registration is dropped together with it.
    Ok(unsafe { AsyncFd::register(Watched(descriptor)) }?)
}
