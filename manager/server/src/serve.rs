//! The life of the server role: listen, follow the cluster, serve, drain.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kube::Client;
use silica_api::names;
use silica_core::{api_key::KeyRing, chain::Chain};
use silica_listen::listen;
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, admin,
    admin::Readiness,
    api,
    config::Auth,
    listener::{Listener, Server},
    metrics::Gauges,
    secret::watch_secret,
    state::App,
    store::{watch_sandboxes, watch_sets},
    tls,
    tls::Certificates,
};

/// Idle upstream connections are looked at this often.
const SWEEP: Duration = Duration::from_secs(30);

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is not free, or not allowed.
    #[error("failed to listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    /// TLS could not be set up.
    #[error("failed to set up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The admin endpoint failed.
    #[error("failed to serve health and metrics")]
    Admin(#[source] io::Error),
}

/// Asks the server to end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Stop accepting, finish what is in flight.
    pub graceful: CancellationToken,
    /// End now.
    pub immediate: CancellationToken,
}

struct Role {
    app: Arc<App>,
    synced: [watch::Receiver<bool>; 3],
    stopping: AtomicBool,
}

impl Readiness for Role {
    fn is_ready(&self) -> bool {
        !self.stopping.load(Ordering::Relaxed) && self.synced.iter().all(|synced| *synced.borrow())
    }

    fn render_metrics(&self) -> String {
        let store = &self.app.store;
        self.app.metrics.render(&Gauges {
            sandboxes: store.count(),
            available: store.available(),
        })
    }
}

/// Serves until asked to end.
pub async fn run(config: Config, client: Client, shutdown: Shutdown) -> Result<(), Error> {
    let app = Arc::new(App::new(config, client));
    let config = &app.config;
    let certificates = Arc::new(Certificates::default());
    let mut listeners = vec![Listener {
        socket: bind(config.http)?,
        tls: None,
    }];
    if let Some((address, _)) = &config.https {
        let tls = tls::server_config(Arc::clone(&certificates)).map_err(|error| Error::Tls(error.into()))?;
        listeners.push(Listener {
            socket: bind(*address)?,
            tls: Some(TlsAcceptor::from(Arc::new(tls))),
        });
    }

    let synced = [(); 3].map(|()| watch::channel(false));
    let [
        (sandboxes, sandboxes_synced),
        (sets, sets_synced),
        (keys, keys_synced),
    ] = synced;
    let role = Arc::new(Role {
        app: Arc::clone(&app),
        synced: [sandboxes_synced, sets_synced, keys_synced],
        stopping: AtomicBool::new(false),
    });
    let background = CancellationToken::new();
    let _stop_background = background.clone().drop_guard();
    let spawn = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        tokio::spawn(background.clone().run_until_cancelled_owned(task));
    };
    spawn(Box::pin(watch_sandboxes(
        app.client.clone(),
        Arc::clone(&app.store),
        sandboxes,
    )));
    spawn(Box::pin(watch_sets(
        app.client.clone(),
        Arc::clone(&app.store),
        sets,
    )));
    spawn(Box::pin(follow_keys(Arc::clone(&app), keys)));
    spawn(Box::pin(follow_certificate(Arc::clone(&app), certificates)));
    spawn(Box::pin(sweep(Arc::clone(&app))));

    let server = Server::new(Arc::clone(&app), api::router(Arc::clone(&app)));
    let stop = CancellationToken::new();
    let accepting = futures::future::join_all(
        listeners
            .iter()
            .map(|listener| server.accept(listener, stop.clone())),
    );
    let ending = async {
        shutdown.graceful.cancelled().await;
        role.stopping.store(true, Ordering::Relaxed);
        tracing::info!("ending: no longer ready");
        tokio::time::sleep(config.shutdown_delay).await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tracing::info!(http = %config.http, https = ?config.https.as_ref().map(|(address, _)| address), "serving");
    tokio::select! {
        _ = accepting => {}
        () = ending => {}
        () = shutdown.immediate.cancelled() => return Ok(()),
        ended = admin::serve(config.admin, Arc::clone(&role) as Arc<dyn Readiness>) => {
            return ended.map_err(Error::Admin);
        }
    }
    drop(listeners);
    tokio::select! {
        () = server.drain(config.drain) => {}
        () = shutdown.immediate.cancelled() => {}
    }
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(address).map_err(|source| Error::Listen { address, source })
}

async fn follow_keys(app: Arc<App>, synced: watch::Sender<bool>) {
    if app.config.auth == Auth::Off {
        synced.send_replace(true);
        return;
    }
    watch_secret(
        app.client.clone(),
        app.config.namespace.as_str(),
        names::API_KEYS_SECRET,
        |data| {
            let (ring, unreadable) = KeyRing::from_secret(names::API_KEYS_PEPPER, &data.unwrap_or_default());
            for entry in unreadable {
                tracing::warn!(
                    secret = names::API_KEYS_SECRET,
                    entry,
                    "an entry is not an API key"
                );
            }
            app.keys.store(Arc::new(ring));
            synced.send_replace(true);
        },
    )
    .await;
}

async fn follow_certificate(app: Arc<App>, certificates: Arc<Certificates>) {
    let Some((_, secret)) = app.config.https.as_ref() else {
        return;
    };
    watch_secret(
        app.client.clone(),
        app.config.namespace.as_str(),
        secret,
        |data| {
            let Some(data) = data else {
                tracing::warn!(secret, "the Secret does not exist");
                return;
            };
            match certificates.replace(&data) {
                Ok(()) => {
                    app.metrics.certificates.increment();
                    tracing::info!(secret, "serving the certificate of the Secret");
                }
                Err(error) => {
                    let error = Chain(&error);
                    tracing::error!(secret, %error, "the Secret is bad; the certificate before it stays");
                }
            }
        },
    )
    .await;
}

async fn sweep(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        app.store.sweep_connections();
    }
}
