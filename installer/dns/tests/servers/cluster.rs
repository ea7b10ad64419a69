//! The view of pods, through connections that the caller makes.

use std::net::SocketAddr;

use silica_dns::{ClusterDns, Connecting, Connection, Verdict, ViewKind};

use crate::{
    support::{RIGHT, Server, free_port, request, run_in, verdicts},
    views::world,
};

/// Connections to a server, as the installer makes them through the API server.
struct Direct(SocketAddr);

impl ClusterDns for Direct {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            let stream = tokio::net::TcpStream::connect(self.0)
                .await
                .map_err(|error| error.to_string())?;
            Ok(Connection {
                source: "pod kube-system/dns".into(),
                stream: Box::new(stream),
            })
        })
    }
}

#[test]
fn the_cluster_is_asked_over_one_connection_and_does_not_decide() {
    let Some(server) = world(RIGHT) else { return };
    let views = [ViewKind::System, ViewKind::Cluster];
    let report = run_in(&request(server.at(1), &views), Some(&Direct(server.at(1))));
    assert_eq!(verdicts(&report, ViewKind::Cluster), vec![Verdict::Matches; 4]);
    let nobody = Direct(SocketAddr::from(([127, 0, 0, 1], free_port())));
    let report = run_in(&request(server.at(1), &views), Some(&nobody));
    let view = report.of(ViewKind::Cluster).next().unwrap();
    assert!(
        view.absent.as_ref().is_some_and(|why| why.contains("refused")),
        "{view:?}"
    );
    assert!(report.ok);
}

#[test]
fn the_cluster_decides_when_nothing_else_is_asked() {
    let Some(server) = world(RIGHT) else { return };
    let alone = |server: &Server| {
        let request = request(server.at(1), &[ViewKind::Cluster]);
        run_in(&request, Some(&Direct(server.at(1)))).ok
    };
    assert!(alone(&server));
    let Some(lacking) = world("@ IN A 192.0.2.1\n") else {
        return;
    };
    assert!(!alone(&lacking));
}
