//! What this server knows of one run of a pod and no object says: its connections, and
//! whether its daemon has been told whose it is.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::proxy::Connections;

/// How long a daemon that could not be initialised is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Connections and streams of one run of a pod.
#[derive(Default)]
pub(crate) struct Live {
    gone: CancellationToken,
    /// Idle connections to the pod; they end with it, so that no connection is
    /// ever used for another sandbox behind the same address.
    pub(crate) connections: Connections,
    initialised: Mutex<Initialised>,
}

/// The main container whose daemon this server has initialised last.
#[derive(Default)]
struct Initialised {
    container: Option<Box<str>>,
    failed_at: Option<Instant>,
}

impl Live {
    /// Aborts every stream and closes every connection, now and for good.
    pub(crate) fn cut(&self) {
        self.gone.cancel();
        self.connections.close();
    }

    /// Whether [`Live::cut`] was called.
    pub(crate) fn is_cut(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// Cancelled by [`Live::cut`].
    pub(crate) fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    fn initialised(&self) -> MutexGuard<'_, Initialised> {
        self.initialised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this server has initialised the daemon in this container, or has failed to a
    /// moment ago.
    pub(super) fn is_initialised(&self, container: &str) -> bool {
        let known = self.initialised();
        known.container.as_deref() == Some(container)
            || known.failed_at.is_some_and(|failed| failed.elapsed() < PAUSE)
    }

    /// Remembers that the daemon in this container was initialised.
    pub(super) fn note_initialised(&self, container: &str) {
        *self.initialised() = Initialised {
            container: Some(container.into()),
            failed_at: None,
        };
    }

    /// Remembers that it could not be.
    pub(super) fn note_failed(&self) {
        self.initialised().failed_at = Some(Instant::now());
    }
}
