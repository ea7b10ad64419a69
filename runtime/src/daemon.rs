//! The daemon: shared state, both listeners, the end.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn6, sockopt};
use silica_runtime_api::{ACCESS_TOKEN_SHA256_ENV, DEFAULT_USER_ENV};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::{Access, Fingerprint};
use crate::http;
use crate::interpreter::{self, Interpreter};
use crate::os::memory::release_free_memory;
use crate::os::spawn::write_oom_score;
use crate::process::Reaper;
use crate::sandbox::Sandbox;

/// How often free memory goes back to the system.
const MEMORY_INTERVAL: Duration = Duration::from_secs(20);

/// Where the daemon listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Processes and files.
    pub daemon: u16,
    /// Code interpreter; `None` switches it off.
    pub interpreter: Option<u16>,
}

/// Why the daemon could not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The fingerprint in the environment is malformed; starting open instead would be unsafe.
    #[error("{ACCESS_TOKEN_SHA256_ENV} is not a SHA-256 in hexadecimal digits")]
    Fingerprint,
    /// The runtime or a signal handler could not be set up.
    #[error("failed to set up the runtime")]
    Setup(#[source] io::Error),
    /// A port is taken or not permitted.
    #[error("failed to listen on port {port}")]
    Listen { port: u16, source: io::Error },
    /// A listener broke.
    #[error("failed to serve")]
    Serve(#[source] io::Error),
}

/// Serves until `SIGTERM` or `SIGINT`.
pub async fn serve(ports: Ports) -> Result<(), DaemonError> {
    let fingerprint = match std::env::var(ACCESS_TOKEN_SHA256_ENV) {
        Ok(text) if !text.is_empty() => Some(Fingerprint::parse(&text).ok_or(DaemonError::Fingerprint)?),
        _ => None,
    };
    write_oom_score("-1000");
    tokio::spawn(release_memory());
    let reaper = Reaper::start().map_err(DaemonError::Setup)?;
    let boot_user = std::env::var(DEFAULT_USER_ENV).ok();
    let sandbox = Arc::new(Sandbox::new(Access::new(fingerprint), reaper, boot_user));

    let listener = listen(ports.daemon)?;
    let main = serve_router(listener, http::router(Arc::clone(&sandbox)));
    let interpreter = async {
        let Some(port) = ports.interpreter else {
            return std::future::pending().await;
        };
        let interpreter = Arc::new(Interpreter::new(sandbox));
        let listener = listen(port)?;
        interpreter.prestart();
        serve_router(listener, interpreter::router(interpreter)).await
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Setup)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Setup)?;
    tokio::select! {
        result = main => result,
        result = interpreter => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Gives back now and then what transfers and busy streams have left behind.
async fn release_memory() {
    let mut ticks = tokio::time::interval(MEMORY_INTERVAL);
    loop {
        ticks.tick().await;
        release_free_memory();
    }
}

async fn serve_router(listener: TcpListener, router: Router) -> Result<(), DaemonError> {
    // Events are small and wanted at once.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.map_err(DaemonError::Serve)
}

/// Listens on all addresses, on IPv4 alone where the kernel has no IPv6.
fn listen(port: u16) -> Result<TcpListener, DaemonError> {
    listen_dual(port)
        .or_else(|_| listen_v4(port))
        .and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .map_err(|source| DaemonError::Listen { port, source })
}

fn listen_v4(port: u16) -> io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port)))
}

fn listen_dual(port: u16) -> io::Result<std::net::TcpListener> {
    const BACKLOG: i32 = 1024;
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
