//! The processes that clients can name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::Pid;

use super::Handle;

/// How a client names a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// By id.
    Pid(u32),
    /// By the tag given at start.
    Tag(String),
}

/// There is no such process; the text is what SDKs show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownProcess {
    #[error("process with pid {0} not found")]
    Pid(u32),
    #[error("process with tag {0} not found")]
    Tag(String),
}

/// Running processes and those that ended a short while ago.
#[derive(Default)]
pub struct Processes {
    handles: Mutex<HashMap<Pid, Arc<Handle>>>,
}

impl Processes {
    /// A process that runs or ended a short while ago.
    pub fn find(&self, selector: &Selector) -> Result<Arc<Handle>, UnknownProcess> {
        let handles = self.lock();
        let found = match selector {
            Selector::Pid(pid) => i32::try_from(*pid)
                .ok()
                .and_then(|pid| handles.get(&Pid::from_raw(pid))),
            // A tag may be used again: a running process goes first.
            Selector::Tag(tag) => handles
                .values()
                .filter(|handle| handle.info.tag.as_ref() == Some(tag))
                .max_by_key(|handle| handle.is_running()),
        };
        found.cloned().ok_or_else(|| match selector {
            Selector::Pid(pid) => UnknownProcess::Pid(*pid),
            Selector::Tag(tag) => UnknownProcess::Tag(tag.clone()),
        })
    }

    /// A process that runs.
    pub fn find_running(&self, selector: &Selector) -> Result<Arc<Handle>, UnknownProcess> {
        let handle = self.find(selector)?;
        if handle.is_running() {
            return Ok(handle);
        }
        Err(match selector {
            Selector::Pid(pid) => UnknownProcess::Pid(*pid),
            Selector::Tag(tag) => UnknownProcess::Tag(tag.clone()),
        })
    }

    /// All processes that run, by id.
    pub fn running(&self) -> Vec<Arc<Handle>> {
        let mut handles: Vec<_> = self
            .lock()
            .values()
            .filter(|handle| handle.is_running())
            .cloned()
            .collect();
        handles.sort_by_key(|handle| handle.pid);
        handles
    }

    /// Adds a process; an ended one with the same id is forgotten.
    pub(super) fn insert(&self, handle: Arc<Handle>) {
        self.lock().insert(handle.pid, handle);
    }

    /// Forgets a process, unless its id already names another.
    pub(super) fn remove(&self, handle: &Arc<Handle>) {
        let mut handles = self.lock();
        if handles
            .get(&handle.pid)
            .is_some_and(|found| Arc::ptr_eq(found, handle))
        {
            handles.remove(&handle.pid);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Pid, Arc<Handle>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
