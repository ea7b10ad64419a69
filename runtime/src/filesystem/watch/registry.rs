//! Watchers whose events clients fetch.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connectrpc::ConnectError;
use tokio::task::AbortHandle;

use super::Watcher;
use crate::blocking::blocking;
use crate::filesystem::FsError;
use crate::proto::filesystem::FilesystemEvent;

/// Most events kept for a client that does not fetch them; the oldest go first.
const BACKLOG: usize = 16 * 1024;

/// Watchers by id; they live until they are removed.
#[derive(Default)]
pub struct Watchers {
    entries: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    collector: Arc<Collector>,
    task: AbortHandle,
}

struct Collector {
    watcher: Watcher,
    backlog: Mutex<VecDeque<FilesystemEvent>>,
}

impl Watchers {
    /// Keeps a watcher and returns its id.
    pub fn insert(&self, watcher: Watcher) -> String {
        let collector = Arc::new(Collector {
            watcher,
            backlog: Mutex::default(),
        });
        let task = tokio::spawn({
            let collector = Arc::clone(&collector);
            async move {
                // Reading in time keeps the kernel's queue short and new subdirectories watched.
                while collector.watcher.wait().await.is_ok() {
                    let collector = Arc::clone(&collector);
                    if blocking(move || drop(collector.collect())).await.is_err() {
                        return;
                    }
                }
            }
        });
        let id = format!("w{:016x}", rand::random::<u64>());
        let entry = Entry {
            collector,
            task: task.abort_handle(),
        };
        lock(&self.entries).insert(id.clone(), entry);
        id
    }

    /// Events since the last call, including those of this very moment.
    pub async fn take_events(&self, id: &str) -> Result<Vec<FilesystemEvent>, ConnectError> {
        let collector = lock(&self.entries)
            .get(id)
            .map(|entry| Arc::clone(&entry.collector));
        let collector = collector.ok_or_else(|| FsError::UnknownWatcher(id.to_owned()))?;
        let events = blocking(move || collector.collect().drain(..).collect());
        Ok(events.await?)
    }

    /// Stops watching.
    pub fn remove(&self, id: &str) -> Result<(), FsError> {
        let entry = lock(&self.entries).remove(id);
        entry
            .ok_or_else(|| FsError::UnknownWatcher(id.to_owned()))?
            .task
            .abort();
        Ok(())
    }
}

impl Collector {
    fn collect(&self) -> MutexGuard<'_, VecDeque<FilesystemEvent>> {
        // Locked before reading, so that events stay in order.
        let mut backlog = lock(&self.backlog);
        backlog.extend(self.watcher.read());
        let excess = backlog.len().saturating_sub(BACKLOG);
        backlog.drain(..excess);
        backlog
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
