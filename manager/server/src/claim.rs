//! Claiming a sandbox: reserve, one write, one call to its daemon.
//!
//! The write is guarded by the resource version, so a sandbox never has two
//! owners; a request whose client has gone away undoes what it did.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use http::StatusCode;
use jiff::Timestamp;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;
use silica_api::{crd::Sandbox, labels, names};
use silica_core::{
    claim::{Claim, OnTimeout, member_name},
    image::{self, ImageReference},
    metadata::Extensions,
    sealed,
    timeout::Timeout,
    token::TokenKey,
};
use tokio::sync::oneshot;

use crate::{
    daemon,
    error::ApiError,
    ready::wait_until_up_with,
    state::App,
    store::{Entry, Reservation, SetEntry},
};

pub(crate) use crate::ready::wait_until_up;

/// Sandboxes that one request may find broken before it gives up.
const MAX_FAILURES: u32 = 3;

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
    fn claim(&self, key: &TokenKey, sandbox: &str) -> Claim {
        let now = Timestamp::now();
        let lock = format!("{:032x}", rand::random::<u128>());
        Claim {
            owner: self.team.clone(),
            sealed_env: sealed::seal(key, sandbox, &lock, &self.env),
            lock,
            now,
            deadline: self.timeout.map(|timeout| timeout.deadline(now)),
            on_timeout: self.on_timeout,
            auto_resume: self.auto_resume,
            metadata: self.metadata.clone(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            idempotency: self.idempotency.clone(),
            image: self.extensions.image.clone(),
            secure: self.secure,
            private_traffic: self.private_traffic,
        }
    }
}

/// How one attempt ended.
enum Attempt {
    /// The sandbox is the client's.
    Claimed(Arc<Entry>),
    /// Somebody else was faster, or the object changed.
    Lost,
    /// The sandbox or the cluster failed.
    Failed(ApiError),
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
        match run_detached(app, set, &order, reservation).await {
            Attempt::Claimed(entry) => {
                app.metrics.claim_total.observe(start.elapsed());
                return Ok(entry);
            }
            Attempt::Lost => app.metrics.claim_conflicts.increment(),
            Attempt::Failed(error) => {
                app.metrics.claim_failures.increment();
                failures += 1;
                // A bad image would spoil one sandbox after the other.
                let is_last = failures >= MAX_FAILURES || order.extensions.image.is_some();
                if is_last || start.elapsed() >= order.extensions.claim_timeout {
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
) -> Attempt {
    let (sender, receiver) = oneshot::channel();
    let (app, set, order) = (Arc::clone(app), Arc::clone(set), Arc::clone(order));
    tokio::spawn(async move {
        let attempt = match reservation {
            Some(reservation) => take(&app, reservation, &order).await,
            None => create(&app, &set, &order).await,
        };
        if let Err(Attempt::Claimed(entry)) = sender.send(attempt) {
            tracing::info!(sandbox = %entry.id, "the client went away during the claim; the sandbox is deleted");
            discard(&app, &entry).await;
        }
    });
    receiver.await.unwrap_or_else(|_| {
        Attempt::Failed(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the claim broke off",
        ))
    })
}

/// Claims a reserved sandbox.
async fn take(app: &Arc<App>, reservation: Reservation, order: &Order) -> Attempt {
    let entry = Arc::clone(reservation.entry());
    let claim = order.claim(&app.config.token_key, entry.id.as_str());
    let api = sandboxes(app, &entry);
    let patch = Patch::Merge(claim.render_patch(&entry.uid, &entry.resource_version));
    let start = Instant::now();
    let written = api.patch(entry.id.name(), &patch_params(), &patch).await;
    app.metrics.claim_write.observe(start.elapsed());
    match written {
        Ok(object) => {
            let wants_other_image = order.extensions.image.is_some() && !has_image(&object);
            let Some(claimed) = Entry::new(object) else {
                return Attempt::Failed(ApiError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the sandbox is malformed",
                ));
            };
            let claimed = app.store.apply(claimed);
            drop(reservation);
            if wants_other_image {
                wait_and_init(app, claimed, order).await
            } else {
                init(app, claimed, order).await
            }
        }
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {
            reservation.lose();
            Attempt::Lost
        }
        Err(error) => {
            reservation.lose();
            recover(app, &entry, &claim.lock).await;
            Attempt::Failed(error.into())
        }
    }
}

/// Deletes the sandbox if a write whose answer was lost has claimed it after all.
async fn recover(app: &Arc<App>, entry: &Entry, lock: &str) {
    let Ok(Some(object)) = sandboxes(app, entry).get_opt(entry.id.name()).await else {
        return;
    };
    if let Some(found) = Entry::new(object)
        && found.uid == entry.uid
    {
        let found = app.store.apply(found);
        if found.lock.as_deref() == Some(lock) {
            discard(app, &found).await;
        }
    }
}

/// Makes a sandbox for this request alone.
async fn create(app: &Arc<App>, set: &SetEntry, order: &Order) -> Attempt {
    let name = member_name(&set.key.name, rand::random());
    let id = format!("{}--{name}", set.key.namespace);
    let claim = order.claim(&app.config.token_key, &id);
    let object = claim
        .render_sandbox(&set.set, &name)
        .and_then(serde_json::from_value::<serde_json::Value>);
    let created = match object {
        Ok(object) => create_object(app, &set.key.namespace, &object).await,
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
                return Attempt::Failed(ApiError::bad_request(
                    "the template's name is too long for a sandbox id",
                ));
            }
        },
        Err(error) => return Attempt::Failed(error.into()),
    };
    wait_and_init(app, entry, order).await
}

/// Whether the template has the image that the object asks for already.
fn has_image(object: &Sandbox) -> bool {
    let template = object.spec.template.as_ref();
    template.and_then(|template| image::of_template(&template.0)) == object.spec.wanted_image()
}

/// Waits for a sandbox that the controller has work with, and takes it over.
async fn wait_and_init(app: &Arc<App>, entry: Arc<Entry>, order: &Order) -> Attempt {
    let extensions = &order.extensions;
    let limit = extensions.wait_ready_timeout.unwrap_or(extensions.claim_timeout);
    let image = extensions.image.as_ref().map(ImageReference::as_str);
    match wait_until_up_with(app, &entry, image, limit).await {
        Ok(up) => init(app, up, order).await,
        Err(error) => {
            give_up(app, &entry, extensions).await;
            Attempt::Failed(error)
        }
    }
}

async fn create_object(
    app: &App,
    namespace: &str,
    object: &serde_json::Value,
) -> Result<Sandbox, kube::Error> {
    // As JSON, not as the typed object: its times have whole seconds only.
    let url = <Sandbox as kube::Resource>::url_path(&(), Some(namespace));
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    let parameters = PostParams {
        field_manager: Some(names::FIELD_MANAGER_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let request = kube::core::Request::new(url)
        .create(&parameters, body)
        .map_err(kube::Error::BuildRequest)?;
    app.client.request(request).await
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
        Ok(()) => Attempt::Claimed(entry),
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
        "metadata": { "labels": { labels::RESERVED_FAILED: "true" } },
        "spec": { "shutdownTime": null, "pauseTime": null },
    });
    if let Err(error) = sandboxes(app, entry)
        .patch(entry.id.name(), &patch_params(), &Patch::Merge(patch))
        .await
    {
        tracing::warn!(%error, sandbox = %entry.id, "failed to reserve a failed sandbox");
    }
}

async fn discard(app: &Arc<App>, entry: &Arc<Entry>) {
    if let Err(error) = delete(app, entry).await {
        tracing::warn!(%error, sandbox = %entry.id, "failed to delete a sandbox; its deadline will end it");
    }
}

/// Deletes a sandbox; its streams are cut as soon as the API server has agreed.
/// Says whether it was still there.
pub(crate) async fn delete(app: &App, entry: &Entry) -> Result<bool, kube::Error> {
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(entry.uid.to_string()),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    let existed = match sandboxes(app, entry).delete(entry.id.name(), &parameters).await {
        Ok(_) => true,
        // 409: another sandbox of the same name took the place of this one.
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => false,
        Err(error) => return Err(error),
    };
    app.store.kill(entry);
    Ok(existed)
}

/// The API of the sandbox's namespace.
pub(crate) fn sandboxes(app: &App, entry: &Entry) -> Api<Sandbox> {
    Api::namespaced(app.client.clone(), entry.id.namespace())
}

/// Parameters of all patches of this server.
pub(crate) fn patch_params() -> PatchParams {
    PatchParams {
        field_manager: Some(names::FIELD_MANAGER_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// An error with its causes in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
