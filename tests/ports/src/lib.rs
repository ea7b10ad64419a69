//! Ports for servers that tests start.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// First port that is given away.
const FIRST: u16 = 10_000;
/// How many follow. All are below the range from which the system takes the ports of outgoing
/// sockets (`net.ipv4.ip_local_port_range`), so that no client takes one before its server does,
/// and none that asks before the server listens is connected to itself.
const COUNT: u32 = 20_000;

/// A port that nobody uses, for UDP or TCP, at 127.0.0.1 to 127.0.0.3. No other call in this
/// process is given the same one.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        // Processes that run side by side begin in different places.
        let start = std::process::id().wrapping_mul(64);
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into()) % COUNT;
        let port = FIRST + u16::try_from(offset).unwrap_or_default();
        if (1..=3).all(|last| is_free(SocketAddr::from(([127, 0, 0, last], port)))) {
            return port;
        }
    }
}

/// [`free_port`] at 127.0.0.1.
#[must_use]
pub fn free_address() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), free_port())
}

fn is_free(address: SocketAddr) -> bool {
    UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_and_all_are_below_those_of_clients() {
        let ports: BTreeSet<u16> = (0..200).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 200);
        assert!(ports.iter().all(|port| (FIRST..30_000).contains(port)));
    }

    #[test]
    fn a_taken_port_is_not_free() {
        let taken = TcpListener::bind(free_address()).unwrap();
        assert!(!is_free(taken.local_addr().unwrap()));
    }
}
