//! One sandbox for a call that is made again: by a client that had no answer, at any replica,
//! perhaps while the first call is still at work.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use jiff::Timestamp;
use kube::{Api, api::ListParams};
use serde_json::json;
use silica_api::{crd::Sandbox, labels};
use silica_core::{
    agree::{self, Candidate},
    annotations::Annotations,
    chain::Chain,
    state::State,
};

use crate::{
    claim::{self, Order},
    daemon,
    error::ApiError,
    objects,
    ready::wait_until,
    state::App,
    store::{Entry, SetEntry},
};

/// Most rounds until the replicas agree: each other one can spoil a few.
const MAX_ROUNDS: u32 = 20;

/// Gets the client the sandbox of the call that `order.idempotency` is the hash of. The work
/// goes on when the client goes away: it will ask again.
pub(crate) async fn claim_once(
    app: &Arc<App>,
    set: &Arc<SetEntry>,
    order: Order,
) -> Result<Arc<Entry>, ApiError> {
    let (app, set) = (Arc::clone(app), Arc::clone(set));
    let start = Instant::now();
    let call = tokio::spawn(async move {
        let hash = order.idempotency.clone().unwrap_or_default();
        let _turn = app.idempotency.lock(&hash).await;
        let earlier = match find_settled(&app, &hash) {
            Some(settled) => Some(settled),
            None => agree(&app, &set.key.namespace, &hash).await?,
        };
        if let Some(earlier) = earlier {
            return hand_out(&app, earlier, &order, start.elapsed()).await;
        }
        let own = claim::claim(&app, &set, order.clone()).await?;
        match agree(&app, &set.key.namespace, &hash).await? {
            Some(winner) if winner.uid == own.uid => Ok(winner),
            Some(winner) => hand_out(&app, winner, &order, start.elapsed()).await,
            None => Err(ApiError::sandbox_not_found(own.id.as_str())),
        }
    });
    call.await.unwrap_or_else(|_| {
        Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the call broke off",
        ))
    })
}

/// The sandbox that the view knows as the one of the call.
fn find_settled(app: &App, hash: &str) -> Option<Arc<Entry>> {
    let now = Timestamp::now();
    let is_it = |entry: &Entry| {
        entry.is_settled && entry.idempotency.as_deref() == Some(hash) && entry.state(now).is_some()
    };
    app.store.select(is_it).into_iter().next()
}

/// Agrees with the other replicas on the sandbox of the call, by the rules of
/// [`silica_core::agree`]; nothing when none was claimed so far.
async fn agree(app: &App, namespace: &str, hash: &str) -> Result<Option<Arc<Entry>>, ApiError> {
    'rounds: for _ in 0..MAX_ROUNDS {
        let living = list(app, namespace, hash).await?;
        let candidates: Vec<_> = living
            .iter()
            .map(|entry| Candidate {
                uid: &entry.uid,
                claimed_at: entry.started_at,
                is_settled: entry.is_settled,
            })
            .collect();
        let Some(verdict) = agree::judge(&candidates) else {
            return Ok(None);
        };
        let winner = &living[verdict.winner];
        for loser in verdict.losers.iter().map(|place| &living[*place]) {
            tracing::info!(sandbox = %loser.id, winner = %winner.id, "two replicas claimed for one call; one sandbox is deleted");
            let is_gone = if verdict.is_settled {
                objects::delete(app, loser).await.map(|_| true)
            } else {
                objects::delete_unchanged(app, loser).await
            };
            if !is_gone? {
                continue 'rounds;
            }
        }
        if verdict.is_settled {
            return Ok(Some(Arc::clone(winner)));
        }
        let mark = json!({ "metadata": { "annotations": Annotations::render_settled() } });
        if let Some(settled) = objects::write_unchanged(app, winner, mark).await? {
            return Ok(Some(settled));
        }
    }
    Err(ApiError::new(
        StatusCode::CONFLICT,
        "calls with the same Idempotency-Key did not agree on a sandbox",
    ))
}

/// The living sandboxes that were claimed for the call, as the API server has them.
async fn list(app: &App, namespace: &str, hash: &str) -> Result<Vec<Arc<Entry>>, kube::Error> {
    let api: Api<Sandbox> = Api::namespaced(app.client.clone(), namespace);
    let selector = format!("{}={}", labels::IDEMPOTENCY_LABEL, agree::label(hash));
    let found = api.list(&ListParams::default().labels(&selector)).await?;
    let now = Timestamp::now();
    let entries = found.items.into_iter().filter_map(Entry::new);
    Ok(entries
        .filter(|entry| entry.idempotency.as_deref() == Some(hash))
        .map(|entry| app.store.apply(entry))
        .filter(|entry| entry.state(now).is_some())
        .collect())
}

/// Waits until a sandbox that another call has claimed is ready. That call may not have told
/// its daemon yet whose it is, so this one does too.
async fn hand_out(
    app: &Arc<App>,
    entry: Arc<Entry>,
    order: &Order,
    elapsed: Duration,
) -> Result<Arc<Entry>, ApiError> {
    if entry.state(Timestamp::now()) == Some(State::Paused) {
        return Ok(entry);
    }
    let up = wait_until(app, &entry, order.start(), order.wait_limit(elapsed)).await?;
    if order.extensions.skip_init_runtime {
        return Ok(up);
    }
    match daemon::init(app, &up, &order.env).await {
        Ok(()) => Ok(up),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), sandbox = %up.id, "failed to initialise the sandbox of a repeated call");
            Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the runtime of sandbox {} did not start: {error}", up.id),
            ))
        }
    }
}
