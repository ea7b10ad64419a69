//! Programs that run beside a test.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    process::Child,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A program that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address whose port nobody uses for UDP or TCP, below the range from which
/// the system takes those of outgoing sockets.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 8_000).unwrap() * 4;
    loop {
        let port = 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// What the variable names; on CI it has to.
pub(crate) fn given(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "set {variable}");
        eprintln!("skipped: set {variable} to run this test");
    }
    path
}

pub(crate) fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < PATIENCE, "{what} not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
