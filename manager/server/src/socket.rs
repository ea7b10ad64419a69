//! Listening sockets.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn6, sockopt};
use tokio::net::TcpListener;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens on the address. The unspecified address of IPv6 stands for all addresses of both
/// families, and for those of IPv4 alone where the kernel has no IPv6.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = match address {
        SocketAddr::V6(all) if all.ip().is_unspecified() => {
            listen_dual(all).or_else(|_| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, all.port())))?
        }
        one => std::net::TcpListener::bind(one)?,
    };
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The standard library leaves it to a setting of the kernel whether IPv4 is included.
fn listen_dual(address: SocketAddrV6) -> io::Result<std::net::TcpListener> {
    let socket = socket::socket(
        AddressFamily::Inet6,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    socket::setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    socket::bind(socket.as_raw_fd(), &SockaddrIn6::from(address))?;
    socket::listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(std::net::TcpListener::from(socket))
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
