//! Makes NodePorts reachable on the host's loopback address.
//!
//! The host's firewall stays untouched, so the ports are copied by a process.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, bail};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::layout::NODE_ADDRESS;

/// (port on the host's loopback, NodePort).
pub const FORWARDED: [(u16, u16); 2] = [(443, 30443), (7788, 30788)];

/// Loopback ports that another process holds; the forwarder leaves them out.
pub fn observe_taken() -> Vec<u16> {
    let ports = FORWARDED.into_iter().map(|(port, _)| port);
    ports
        .filter(|port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err())
        .collect()
}

/// Forwards until it is killed. A port that cannot be had is named; the others go on.
pub async fn run() -> Result<()> {
    let mut listeners = JoinSet::new();
    for (port, node_port) in FORWARDED {
        let to = SocketAddr::from((NODE_ADDRESS, node_port));
        for address in [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ] {
            match TcpListener::bind((address, port)).await {
                Ok(listener) => {
                    println!("forwarding {} to {to}", SocketAddr::from((address, port)));
                    listeners.spawn(accept(listener, to));
                }
                Err(error) => println!(
                    "failed to listen on {}: {error}",
                    SocketAddr::from((address, port))
                ),
            }
        }
    }
    if listeners.is_empty() {
        bail!("failed to forward any port");
    }
    listeners.join_all().await;
    Ok(())
}

async fn accept(listener: TcpListener, to: SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                // A closed or refused connection concerns its two ends only.
                tokio::spawn(async move { forward(connection, to).await.ok() });
            }
            // Out of file descriptors: wait for connections to close.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn forward(mut near: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    copy_bidirectional(&mut near, &mut far).await.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_both_ways_until_the_far_end_closes() {
        let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let near = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = near.local_addr().unwrap();
        tokio::spawn(accept(near, far.local_addr().unwrap()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let (mut server, _) = far.accept().await.unwrap();
        let mut request = [0; 4];
        server.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"ping");
        server.write_all(b"pong").await.unwrap();
        drop(server);
        let mut reply = Vec::new();
        client.read_to_end(&mut reply).await.unwrap();
        assert_eq!(reply, b"pong");
    }
}
