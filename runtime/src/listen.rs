//! Listens and serves HTTP/1.1, the one version that proxies speak to a sandbox.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn6, sockopt};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{IDLE_LIMIT, Impatient};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Pause after a failure that repeats at once, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on all addresses, on IPv4 alone where the kernel has no IPv6.
pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = listen_dual(port).or_else(|_| listen_v4(port))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves every connection for as long as its client uses it. Never returns.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(stream, router.clone()));
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    // Events are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Counts from the end of the request before, so it limits idle connections, too.
        .header_read_timeout(IDLE_LIMIT)
        .serve_connection(
            TokioIo::new(Impatient::new(stream)),
            TowerToHyperService::new(router),
        )
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

/// Whether a connection broke before it was accepted, which is no fault of the listener.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

fn listen_v4(port: u16) -> io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port)))
}

fn listen_dual(port: u16) -> io::Result<std::net::TcpListener> {
    let socket = socket::socket(
        AddressFamily::Inet6,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    socket::setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    let address = SockaddrIn6::from(std::net::SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0));
    socket::bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &address)?;
    socket::listen(&socket, socket::Backlog::new(BACKLOG)?)?;
    Ok(std::net::TcpListener::from(socket))
}
