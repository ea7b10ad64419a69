//! Claiming a sandbox: reserve, one write, one call to its daemon.
//!
//! The write is guarded by the resource version, so a sandbox never has two
//! owners; a request whose client has gone away undoes what it did.

mod attempt;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use silica_api::labels;
use silica_core::{
    agree, annotate,
    claim::{Claim, OnTimeout},
    image::ImageReference,
    metadata::Extensions,
    sealed,
    timeout::Timeout,
    token::TokenKey,
};
use tokio::sync::oneshot;

use crate::{
    error::ApiError,
    ready::Start,
    state::App,
    store::{Entry, Reservation, SetEntry},
};
use attempt::Attempt;

/// Sandboxes that one request may find broken before it gives up.
const MAX_FAILURES: u32 = 3;

/// Wait for a sandbox to get ready when the wait for the sandbox took all the time.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What a create call wants.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) team: String,
    /// Nothing for a sandbox without a deadline.
    pub(crate) timeout: Option<Timeout>,
    pub(crate) on_timeout: OnTimeout,
    /// Timeout with which traffic resumes the sandbox; nothing when it shall stay paused.
    pub(crate) auto_resume: Option<Timeout>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) extensions: Extensions,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) secure: bool,
    pub(crate) private_traffic: bool,
    pub(crate) idempotency: Option<String>,
}

impl Order {
    /// The claim of the sandbox with this id, whose daemon is called after the wait. The
    /// deadline leaves that time out: it is there so that an object of a server that died is
    /// not left behind. `container` is the main container, if it runs already.
    fn claim(&self, key: &TokenKey, sandbox: &str, wait: Duration, container: Option<&str>) -> Claim {
        let now = Timestamp::now();
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        let start = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let lock = format!("{:032x}", rand::random::<u128>());
        Claim {
            owner: self.team.clone(),
            sealed_env: sealed::seal(key, sandbox, &lock, &self.env),
            lock,
            now,
            deadline: self.timeout.map(|timeout| timeout.deadline(start)),
            on_timeout: self.on_timeout,
            auto_resume: self.auto_resume,
            metadata: self.metadata.clone(),
            labels: self.labels(),
            annotations: annotate::annotations(&self.metadata),
            initialised_container: container
                .filter(|_| !self.extensions.skip_init_runtime)
                .map(str::to_owned),
            skip_init: self.extensions.skip_init_runtime,
            idempotency: self.idempotency.clone(),
            image: self.extensions.image.clone(),
            mounts: self.extensions.mounts.clone(),
            secure: self.secure,
            private_traffic: self.private_traffic,
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let call = self.idempotency.iter();
        call.map(|hash| {
            (
                labels::IDEMPOTENCY_LABEL.to_owned(),
                agree::label(hash).to_owned(),
            )
        })
        .collect()
    }

    /// Longest wait for a sandbox that the controller has work with, so long after the call began.
    pub(crate) fn wait_limit(&self, elapsed: Duration) -> Duration {
        let extensions = &self.extensions;
        let left = extensions.claim_timeout.saturating_sub(elapsed);
        extensions.wait_ready_timeout.unwrap_or(left.max(SHORTEST_WAIT))
    }

    /// What that wait is for.
    pub(crate) fn start(&self) -> Start<'_> {
        Start::New {
            image: self.extensions.image.as_ref().map(ImageReference::as_str),
        }
    }
}

/// Gets the client a sandbox of the pool. Dropping the future gives up the wait,
/// and what was already claimed is deleted.
pub(crate) async fn claim(app: &Arc<App>, set: &Arc<SetEntry>, order: Order) -> Result<Arc<Entry>, ApiError> {
    let start = Instant::now();
    let order = Arc::new(order);
    let mut failures = 0;
    loop {
        let reservation = reserve(app, set, &order.extensions, start).await?;
        app.metrics.claim_wait.observe(start.elapsed());
        // A bad template or image would spoil one sandbox after the other. One that is to have volumes
        // is always made.
        let is_slow = reservation.is_none() || order.extensions.image.is_some();
        let wait = order.wait_limit(start.elapsed());
        match run_detached(app, set, &order, reservation, wait).await {
            Attempt::Claimed(entry) => {
                app.metrics.claim_total.observe(start.elapsed());
                return Ok(entry);
            }
            Attempt::Lost => app.metrics.claim_conflicts.increment(),
            Attempt::Failed(error) => {
                app.metrics.claim_failures.increment();
                failures += 1;
                if is_slow || failures >= MAX_FAILURES || start.elapsed() >= order.extensions.claim_timeout {
                    return Err(error.without_retry());
                }
            }
        }
    }
}

/// Waits for a sandbox; nothing means that a new one shall be made.
async fn reserve(
    app: &App,
    set: &SetEntry,
    extensions: &Extensions,
    start: Instant,
) -> Result<Option<Reservation>, ApiError> {
    if !extensions.mounts.is_empty() {
        // A running pod takes no volumes.
        return Ok(None);
    }
    let random = rand::random::<u32>() as usize;
    if extensions.create_on_no_stock {
        return Ok(app.store.take(&set.key, set.template_hash(), random));
    }
    let receiver = match app.store.take_or_wait(&set.key, set.template_hash(), random) {
        Ok(reservation) => return Ok(Some(reservation)),
        Err(receiver) => receiver,
    };
    let left = extensions.claim_timeout.saturating_sub(start.elapsed());
    if let Ok(Ok(reservation)) = tokio::time::timeout(left, receiver).await {
        return Ok(Some(reservation));
    }
    app.metrics.no_stock.increment();
    Err(ApiError::no_stock(format!(
        "no sandbox of template '{}' became available within {} seconds: the pool is empty; raise the replicas of \
         the SandboxSet, or create with metadata {}create-on-no-stock=true",
        set.key.name,
        extensions.claim_timeout.as_secs(),
        labels::EXTENSION_PREFIX,
    )))
}

/// Runs an attempt in a task of its own, so that it comes to an end and is undone
/// when the request is dropped half-way.
async fn run_detached(
    app: &Arc<App>,
    set: &Arc<SetEntry>,
    order: &Arc<Order>,
    reservation: Option<Reservation>,
    wait: Duration,
) -> Attempt {
    let (sender, receiver) = oneshot::channel();
    let (app, set, order) = (Arc::clone(app), Arc::clone(set), Arc::clone(order));
    tokio::spawn(async move {
        let attempt = match reservation {
            Some(reservation) => attempt::take(&app, reservation, &order, wait).await,
            None => attempt::create(&app, &set, &order, wait).await,
        };
        if let Err(Attempt::Claimed(entry)) = sender.send(attempt) {
            tracing::info!(sandbox = %entry.id, "the client went away during the claim; the sandbox is deleted");
            attempt::discard(&app, &entry).await;
        }
    });
    receiver.await.unwrap_or_else(|_| {
        Attempt::Failed(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the claim broke off",
        ))
    })
}

#[cfg(test)]
mod tests;
