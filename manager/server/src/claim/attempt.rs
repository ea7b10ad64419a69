//! One attempt to give a request a sandbox: take one of the pool, or make one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use jiff::Timestamp;
use kube::api::Patch;
use serde_json::json;
use silica_api::{crd::Sandbox, labels, types::SandboxId};
use silica_core::{annotations::Annotations, chain::Chain, claim::member_name, image, metadata::Extensions};

use super::Order;
use crate::{
    daemon,
    error::ApiError,
    objects::{self, patch_params, sandboxes},
    ready::wait_until,
    state::App,
    store::{Entry, Reservation, SetEntry},
};

/// How one attempt ended.
pub(super) enum Attempt {
    /// The sandbox is the client's.
    Claimed(Arc<Entry>),
    /// Somebody else was faster, or the object changed.
    Lost,
    /// The sandbox or the cluster failed.
    Failed(ApiError),
}

/// Claims a reserved sandbox.
pub(super) async fn take(app: &Arc<App>, reservation: Reservation, order: &Order, wait: Duration) -> Attempt {
    let entry = Arc::clone(reservation.entry());
    let wants_image = order.extensions.image.is_some();
    let room = if wants_image { wait } else { Duration::ZERO };
    let container = entry.container.as_deref().filter(|_| !wants_image);
    let claim = order.claim(&app.config.token_key, entry.id.as_str(), room, container);
    let api = sandboxes(app, &entry);
    let patch = Patch::Merge(claim.render_patch(&entry.uid, &entry.resource_version));
    let start = Instant::now();
    let written = api.patch(entry.id.name(), &patch_params(), &patch).await;
    app.metrics.claim_write.observe(start.elapsed());
    match written {
        Ok(object) => {
            let has_image = has_image(&object);
            let Some(claimed) = Entry::new(object) else {
                return Attempt::Failed(ApiError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the sandbox is malformed",
                ));
            };
            let claimed = app.store.apply(claimed);
            drop(reservation);
            match (wants_image, has_image) {
                (false, _) => init(app, claimed, order).await,
                (true, true) => start_and_init(app, claimed, order).await,
                (true, false) => wait_and_init(app, claimed, order, wait).await,
            }
        }
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {
            reservation.lose();
            Attempt::Lost
        }
        Err(error) => {
            reservation.lose();
            recover(app, &entry.id, &claim.lock).await;
            Attempt::Failed(error.into())
        }
    }
}

/// Deletes the sandbox if a write whose answer was lost has claimed or made it after all.
async fn recover(app: &Arc<App>, id: &SandboxId, lock: &str) {
    if let Ok(Some(found)) = objects::find(app, id).await
        && found.lock.as_deref() == Some(lock)
    {
        discard(app, &found).await;
    }
}

/// Makes a sandbox for this request alone.
pub(super) async fn create(app: &Arc<App>, set: &SetEntry, order: &Order, wait: Duration) -> Attempt {
    let name = member_name(&set.key.name, rand::random());
    let Ok(id) = SandboxId::new(&set.key.namespace, &name) else {
        return Attempt::Failed(ApiError::bad_request(
            "the template's name is too long for a sandbox id",
        ));
    };
    let claim = order.claim(&app.config.token_key, id.as_str(), wait, None);
    let object = claim
        .render_sandbox(&set.set, &name)
        .and_then(serde_json::from_value::<serde_json::Value>);
    let created = match object {
        Ok(object) => objects::create(app, &set.key.namespace, &object).await,
        Err(error) => {
            tracing::warn!(%error, "failed to render a sandbox");
            return Attempt::Failed(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the template is malformed",
            ));
        }
    };
    let entry = match created {
        Ok(object) => match Entry::new(object) {
            Some(entry) => app.store.apply(entry),
            None => {
                return Attempt::Failed(ApiError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the sandbox is malformed",
                ));
            }
        },
        Err(error) => {
            recover(app, &id, &claim.lock).await;
            return Attempt::Failed(error.into());
        }
    };
    wait_and_init(app, entry, order, wait).await
}

/// Whether the template has the image that the object asks for already.
fn has_image(object: &Sandbox) -> bool {
    let template = object.spec.template.as_ref();
    template.and_then(|template| image::of_template(&template.0)) == object.spec.wanted_image()
}

/// Waits for a sandbox that the controller has work with, and takes it over.
async fn wait_and_init(app: &Arc<App>, entry: Arc<Entry>, order: &Order, wait: Duration) -> Attempt {
    match wait_until(app, &entry, order.start(), wait).await {
        Ok(up) => start_and_init(app, up, order).await,
        Err(error) => {
            give_up(app, &entry, &order.extensions).await;
            Attempt::Failed(error)
        }
    }
}

/// Lets the timeout begin now that the wait is over, and takes the sandbox over.
async fn start_and_init(app: &Arc<App>, entry: Arc<Entry>, order: &Order) -> Attempt {
    let Some(timeout) = order.timeout else {
        return init(app, entry, order).await;
    };
    let container = entry
        .container
        .as_deref()
        .filter(|_| !order.extensions.skip_init_runtime);
    let patch = json!({
        "metadata": { "annotations": Annotations::render_initialised(container) },
        "spec": order.on_timeout.render_deadline(Some(timeout.deadline(Timestamp::now()))),
    });
    match objects::write(app, &entry, patch).await {
        Ok(started) => init(app, started, order).await,
        Err(error) => {
            give_up(app, &entry, &order.extensions).await;
            Attempt::Failed(error)
        }
    }
}

/// Hands the daemon to its owner.
async fn init(app: &Arc<App>, entry: Arc<Entry>, order: &Order) -> Attempt {
    if order.extensions.skip_init_runtime {
        return Attempt::Claimed(entry);
    }
    let start = Instant::now();
    let result = daemon::init(app, &entry, &order.env).await;
    app.metrics.claim_init.observe(start.elapsed());
    match result {
        Ok(()) => {
            entry.note_initialised();
            Attempt::Claimed(entry)
        }
        Err(error) => {
            tracing::warn!(error = %Chain(&error), sandbox = %entry.id, "failed to initialise a sandbox");
            give_up(app, &entry, &order.extensions).await;
            Attempt::Failed(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the runtime of sandbox {} did not start: {error}", entry.id),
            ))
        }
    }
}

/// Deletes a failed sandbox, or keeps it without a deadline when asked to.
async fn give_up(app: &Arc<App>, entry: &Arc<Entry>, extensions: &Extensions) {
    if !extensions.reserve_failed {
        discard(app, entry).await;
        return;
    }
    let patch = json!({
        "metadata": {
            // No repeated call shall get it.
            "labels": { labels::RESERVED_FAILED: "true", labels::IDEMPOTENCY_LABEL: null },
            "annotations": Annotations::render_forgotten(),
        },
        "spec": { "shutdownTime": null, "pauseTime": null },
    });
    if let Err(error) = sandboxes(app, entry)
        .patch(entry.id.name(), &patch_params(), &Patch::Merge(patch))
        .await
    {
        tracing::warn!(%error, sandbox = %entry.id, "failed to reserve a failed sandbox");
    }
}

/// Deletes a sandbox that nobody gets.
pub(super) async fn discard(app: &Arc<App>, entry: &Arc<Entry>) {
    if let Err(error) = objects::delete(app, entry).await {
        tracing::warn!(%error, sandbox = %entry.id, "failed to delete a sandbox; its deadline will end it");
    }
}
