//! Listening sockets for both families of addresses. A leaf crate, so that the manager and the
//! runtime listen alike.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens on the address. The unspecified address of IPv6 stands for all addresses of both
/// families, and for those of IPv4 alone where the kernel has no IPv6.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = match address {
        SocketAddr::V6(all) if all.ip().is_unspecified() => {
            bind(address).or_else(|_| bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), all.port())))?
        }
        one => bind(one)?,
    };
    TcpListener::from_std(listener.into())
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Otherwise a setting of the kernel decides whether IPv4 is included.
        socket.set_only_v6(false)?;
    }
    // A predecessor's closed connections keep the port for a minute.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// The address for [`listen`] that serves everybody on a port.
pub fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn everywhere_includes_both_families() {
        let listener = listen(everywhere(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        // The port of the loopback address is free where there is no IPv6 at all.
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[tokio::test]
    async fn one_address_is_that_one_and_a_taken_port_is_an_error() {
        let listener = listen(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.ip().is_loopback());
        assert!(listen(address).is_err());
    }
}
