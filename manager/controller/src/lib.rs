//! The controller role: turns Sandboxes into pods, keeps the pools of SandboxSets
//! filled, and carries SandboxClaims out. It also renews the served certificate
//! and, before it ends, the CA.
//!
//! [`run`] keeps watch-fed caches warm at all times and writes only while it
//! holds the Lease. Each reconciler is a folder with the same steps: `observe`
//! (caches, API), `decide`/`plan` and `desired` (pure), `apply` (API), `status`
//! (pure), with the order of the steps in its `mod.rs`.

mod cache;
mod config;
mod context;
mod daemon;
mod driver;
mod event;
mod health;
mod lease;
mod memory;
mod metrics;
mod orphan;
mod queue;
mod renewal;
mod runtime_source;
mod sandbox;
mod sandbox_claim;
mod sandbox_set;
mod status_patch;
mod template;
mod watch;

pub use config::{AuthorityRenewal, Config};
pub use health::Health;
pub use runtime_source::RuntimeSource;

use std::{future::Future, pin::pin, sync::Arc};

use futures::future::{self, Either};
use kube::Client;

use crate::{cache::Caches, context::Context, lease::Election, queue::Queues};

/// Why the controller ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A watch ended; it should go on forever.
    #[error("failed to keep watching the cluster: the {kind} watch ended")]
    WatchEnded { kind: &'static str },
}

/// Runs the controller until `shutdown` completes.
///
/// On shutdown the reconcilers stop first and the Lease is released after that,
/// so that a standby takes over at once and no two controllers write.
pub async fn run(
    config: Config,
    client: Client,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    let (caches, writers) = Caches::new();
    let queues = Arc::new(Queues::default());
    config.health.attach(caches.clone());
    // Boxed: they are large, and callers would carry them around by value.
    let watches = Box::pin(watch::run(
        client.clone(),
        writers,
        caches.clone(),
        Arc::clone(&queues),
    ));
    let leading = Box::pin(lead(config.clone(), client.clone(), caches, queues));
    let shutdown = pin!(shutdown);

    let ended = future::select(shutdown, future::select(watches, leading)).await;
    config.health.set_leading(false);
    lease::release(&client, &config.namespace, &config.identity).await;
    match ended {
        Either::Left(((), _)) => Ok(()),
        Either::Right((Either::Left((kind, _)), _)) => Err(Error::WatchEnded { kind }),
        Either::Right((Either::Right((never, _)), _)) => match never {},
    }
}

/// Competes for the Lease forever; reconciles while it is held.
async fn lead(
    config: Config,
    client: Client,
    caches: Caches,
    queues: Arc<Queues>,
) -> std::convert::Infallible {
    let mut election = Election::new(client.clone(), &config.namespace, &config.identity);
    loop {
        caches.wait_until_ready().await;
        let term = election.win().await;
        tracing::info!(identity = %config.identity, "leading");
        config.health.set_leading(true);

        let events = event::Publisher::new(client.clone(), &config.identity);
        let context = Arc::new(Context::new(
            &config,
            client.clone(),
            caches.clone(),
            events.sender(),
        ));
        let workers = config.workers;
        let sandboxes = queues.sandboxes.open(&caches.sandboxes);
        let sets = queues.sets.open(&caches.sets);
        let claims = queues.claims.open(&caches.claims);
        let reconcilers = pin!(future::join5(
            driver::run(Arc::clone(&context), sandboxes, workers, sandbox::reconcile),
            future::join(
                driver::run(Arc::clone(&context), sets, workers, sandbox_set::reconcile),
                driver::run(Arc::clone(&context), claims, workers, sandbox_claim::reconcile),
            ),
            orphan::run(Arc::clone(&context), queues.orphans.open()),
            renewal::run(Arc::clone(&context), &config, time::OffsetDateTime::now_utc),
            events.run(),
        ));
        let lost = pin!(election.hold(term));
        future::select(lost, reconcilers).await;

        config.health.set_leading(false);
        tracing::warn!(identity = %config.identity, "no longer leading");
    }
}
