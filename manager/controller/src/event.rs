//! Kubernetes Events about sandboxes, pools and certificates: at most a few per second, the
//! rest is dropped and counted. Repeats become a series of the first Event.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use silica_api::names;
use tokio::sync::mpsc;

use crate::metrics::Metrics;

/// Events that may wait; more are dropped.
const BACKLOG: usize = 128;
/// Pause between two writes.
const PACE: Duration = Duration::from_millis(100);

/// Takes Events without ever blocking.
#[derive(Clone)]
pub(crate) struct Sender {
    queue: mpsc::Sender<(Event, ObjectReference)>,
    metrics: Arc<Metrics>,
}

impl Sender {
    /// Counts dropped Events in `metrics`.
    pub(crate) fn counting(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// Something went as planned.
    pub(crate) fn normal(&self, about: &impl Resource<DynamicType = ()>, reason: &str, note: &str) {
        self.send(EventType::Normal, about, reason, note);
    }

    /// Somebody should look at this.
    pub(crate) fn warning(&self, about: &impl Resource<DynamicType = ()>, reason: &str, note: &str) {
        self.send(EventType::Warning, about, reason, note);
    }

    fn send(&self, kind: EventType, about: &impl Resource<DynamicType = ()>, reason: &str, note: &str) {
        // The API server refuses notes of more than 1024 characters.
        let note = note.chars().take(1000).collect();
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if self.queue.try_send((event, about.object_ref(&()))).is_err() {
            self.metrics.events_dropped.increment();
        }
    }
}

/// Writes Events to the API server.
pub(crate) struct Publisher {
    recorder: Recorder,
    sender: Sender,
    queue: mpsc::Receiver<(Event, ObjectReference)>,
}

impl Publisher {
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter {
            controller: names::CONTROLLER.to_owned(),
            instance: Some(identity.to_owned()),
        };
        let (sender, queue) = mpsc::channel(BACKLOG);
        Self {
            recorder: Recorder::new(client, reporter),
            sender: Sender {
                queue: sender,
                metrics: Arc::default(),
            },
            queue,
        }
    }

    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Publishes forever.
    pub(crate) async fn run(mut self) {
        while let Some((event, about)) = self.queue.recv().await {
            if let Err(error) = self.recorder.publish(&event, &about).await {
                tracing::debug!(%error, reason = event.reason, "failed to publish an Event");
            }
            tokio::time::sleep(PACE).await;
        }
    }
}
