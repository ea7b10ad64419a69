//! Connections that leave HTTP: WebSocket and any other `Upgrade`.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::store::Live;

/// Passes bytes both ways until one side ends or the sandbox is gone; then both
/// connections are dropped without a goodbye of the protocol inside.
pub(super) async fn tunnel(client: OnUpgrade, sandbox: OnUpgrade, live: Arc<Live>) {
    let (client, sandbox) = match tokio::try_join!(client, sandbox) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a connection was not upgraded");
            return;
        }
    };
    let (mut client, mut sandbox) = (TokioIo::new(client), TokioIo::new(sandbox));
    tokio::select! {
        () = live.gone().cancelled() => {}
        copied = tokio::io::copy_bidirectional(&mut client, &mut sandbox) => {
            if let Err(error) = copied {
                tracing::debug!(%error, "an upgraded connection ended with an error");
            }
        }
    }
}
