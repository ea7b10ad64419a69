//! Telling the daemon of a sandbox whose it is, when that is not part of a claim: after a
//! resumption, and after its container was replaced because it had ended.
//!
//! A new container knows neither the environment of the create call nor its id. It is told
//! before the first request that is passed on to it, once by every replica that has one: that
//! is harmless, and needs no replica that watches over restarts, which come in crowds when a
//! node is short of memory.

use std::sync::Arc;

use silica_core::{annotations::Annotations, chain::Chain, sealed};

use crate::{daemon, error::ApiError, objects::sandboxes, state::App, store::Entry};

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The object could not be read.
    #[error("failed to read the environment variables")]
    Read(#[source] Box<kube::Error>),
    /// The daemon is not there, or does not want to.
    #[error(transparent)]
    Daemon(#[from] daemon::Error),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Read(error) => (*error).into(),
            Error::Daemon(_) => Self::new(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                "the sandbox's runtime did not start",
            ),
        }
    }
}

/// Tells the daemon, unless the sandbox was created without that.
pub(crate) async fn initialise(app: &App, entry: &Entry) -> Result<(), Error> {
    if entry.skip_init {
        return Ok(());
    }
    let env = read_env(app, entry).await?;
    daemon::init(app, entry, &env).await?;
    entry.note_initialised();
    Ok(())
}

/// Tells the daemon of a container that has taken the place of another one. When that fails
/// the request goes on all the same: the sandbox itself answers what is wrong.
pub(crate) async fn catch_up(app: &App, entry: &Arc<Entry>) {
    if !entry.is_uninitialised() {
        return;
    }
    let _turn = app.resumptions.lock(entry.id.as_str()).await;
    if !entry.is_uninitialised() {
        return;
    }
    match initialise(app, entry).await {
        Ok(()) => tracing::info!(sandbox = %entry.id, "initialised the new container of a sandbox"),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), sandbox = %entry.id, "failed to initialise the new container of a sandbox");
            entry.put_initialisation_off();
        }
    }
}

/// The environment variables of the create call, which a new container does not have yet.
async fn read_env(app: &App, entry: &Entry) -> Result<sealed::Env, Error> {
    let object = sandboxes(app, entry)
        .get_metadata(entry.id.name())
        .await
        .map_err(|error| Error::Read(Box::new(error)))?;
    let annotations = Annotations::read(object.metadata.annotations.unwrap_or_default());
    let (Some(text), Some(lock)) = (annotations.sealed_env, annotations.lock) else {
        return Ok(sealed::Env::new());
    };
    let env = sealed::open(&app.config.token_key, entry.id.as_str(), &lock, &text);
    Ok(env.unwrap_or_else(|| {
        tracing::warn!(sandbox = %entry.id, "environment variables were encrypted with another key and are lost");
        sealed::Env::new()
    }))
}
