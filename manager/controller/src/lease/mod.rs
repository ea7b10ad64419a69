//! Leader election over one `coordination.k8s.io` Lease.
//!
//! The same rules as client-go's leaderelection, so that any tool reads the
//! Lease: a holder renews every 2 s and gives up after 10 s without success; a
//! candidate takes over when it has seen no change for 15 s on its own clock, so
//! the clocks of the replicas need not agree. A candidate watches the Lease, so
//! a released one is taken over at once.

mod record;

use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use silica_api::{labels, names};
use tokio::time::{Instant, timeout, timeout_at};

use record::{Decision, Record};

/// A candidate may take the Lease after this time without a change.
const DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for this time stops writing.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two renewals, and between two tries after an error.
const RETRY: Duration = Duration::from_secs(2);
/// A single request to the API server.
const REQUEST: Duration = Duration::from_secs(4);

/// Takes part in the election under one identity.
pub(crate) struct Election {
    api: Api<Lease>,
    identity: String,
}

/// A won election: the Lease as last written.
pub(crate) struct Term {
    lease: Lease,
    renewed: Instant,
}

impl Election {
    pub(crate) fn new(client: Client, namespace: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            identity: identity.to_owned(),
        }
    }

    /// Waits until the Lease is won.
    pub(crate) async fn win(&mut self) -> Term {
        let changes = watcher::watch_object(self.api.clone(), names::CONTROLLER_LEASE).default_backoff();
        pin_mut!(changes);
        // Known once the watch has reported; `None` inside means no Lease.
        let mut current: Option<Option<Lease>> = None;
        let mut record = Record::new(Instant::now());
        loop {
            let wait = match &current {
                None => DURATION,
                Some(lease) => {
                    match record.decide(lease.as_ref(), &self.identity, Instant::now(), DURATION) {
                        Decision::Wait(time) => time,
                        Decision::Take => match self.take(lease.as_ref()).await {
                            Ok(term) => return term,
                            Err(error) => {
                                tracing::debug!(%error, "failed to take the lease");
                                RETRY
                            }
                        },
                    }
                }
            };
            match timeout(wait, changes.next()).await {
                Ok(Some(Ok(lease))) => {
                    record.note(lease.as_ref(), Instant::now());
                    current = Some(lease);
                }
                Ok(Some(Err(error))) => tracing::debug!(%error, "failed to watch the lease"),
                // The watch of one object never ends.
                Ok(None) => tokio::time::sleep(RETRY).await,
                Err(_elapsed) => {}
            }
        }
    }

    /// Renews until that fails for too long or another process took the Lease.
    pub(crate) async fn hold(&mut self, mut term: Term) {
        loop {
            let deadline = term.renewed + RENEW_DEADLINE;
            tokio::time::sleep(RETRY).await;
            let Ok(Some(renewed)) = timeout_at(deadline, self.renew(&term.lease)).await else {
                return;
            };
            term = renewed;
        }
    }

    /// Tries until success; `None` when another process holds the Lease.
    async fn renew(&self, known: &Lease) -> Option<Term> {
        let mut known = known.clone();
        loop {
            match self.take(Some(&known)).await {
                Ok(term) => return Some(term),
                Err(error) => tracing::debug!(%error, "failed to renew the lease"),
            }
            // Somebody else may have written: look before the next try.
            match timeout(REQUEST, self.api.get(names::CONTROLLER_LEASE)).await {
                Ok(Ok(lease)) if record::holder(Some(&lease)) != Some(&self.identity) => return None,
                Ok(Ok(lease)) => known = lease,
                Ok(Err(_)) | Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Writes this identity into the Lease; the resource version makes sure that
    /// nobody else did in between.
    async fn take(&self, current: Option<&Lease>) -> Result<Term, Error> {
        let started = Instant::now();
        let wanted = record::taken(
            current,
            &self.identity,
            MicroTime(jiff::Timestamp::now()),
            DURATION,
        );
        let parameters = PostParams {
            field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
            ..PostParams::default()
        };
        let lease = if let Some(lease) = current {
            let lease = Lease {
                metadata: lease.metadata.clone(),
                spec: Some(wanted),
            };
            timeout(
                REQUEST,
                self.api.replace(names::CONTROLLER_LEASE, &parameters, &lease),
            )
            .await
        } else {
            let metadata = ObjectMeta {
                name: Some(names::CONTROLLER_LEASE.to_owned()),
                labels: Some(labels::component(names::CONTROLLER)),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(wanted),
            };
            timeout(REQUEST, self.api.create(&parameters, &lease)).await
        };
        match lease {
            // The time before the request: the server may have counted from then.
            Ok(Ok(lease)) => Ok(Term {
                lease,
                renewed: started,
            }),
            Ok(Err(error)) => Err(Error::Write(Box::new(error))),
            Err(_elapsed) => Err(Error::Timeout),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("failed to write the lease: {0}")]
    Write(Box<kube::Error>),
    #[error("failed to write the lease in time")]
    Timeout,
}

/// Gives the Lease up if `identity` holds it. Best effort: without it the next
/// holder waits for [`DURATION`].
pub(crate) async fn release(client: &Client, namespace: &str, identity: &str) {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let attempt = async {
        let mut lease = api.get(names::CONTROLLER_LEASE).await?;
        if record::holder(Some(&lease)) != Some(identity) {
            return Ok(());
        }
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        tracing::info!(lease = lease.name_any(), "releasing the lease");
        api.replace(names::CONTROLLER_LEASE, &PostParams::default(), &lease)
            .await
            .map(|_| ())
    };
    match timeout(REQUEST, attempt).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "failed to release the lease"),
        Err(_elapsed) => tracing::warn!("failed to release the lease in time"),
    }
}
