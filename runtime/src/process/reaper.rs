//! Starts children and collects their exit statuses.
//!
//! The daemon is a child subreaper: orphans of killed shells become its
//! children, so it has to collect children that it never started, and must not
//! steal the status of one that it is about to start. Hence one lock around both.

use std::collections::HashMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(Signal),
}

/// Collects every child of the daemon.
#[derive(Default)]
pub struct Reaper {
    waiting: Mutex<HashMap<i32, oneshot::Sender<Exit>>>,
}

/// A child that runs.
pub struct Spawned {
    /// The child with its pipes; never wait for it, use `exit`.
    pub child: Child,
    /// Process id.
    pub pid: Pid,
    /// Resolves when the child has ended and was collected.
    pub exit: oneshot::Receiver<Exit>,
}

impl Reaper {
    /// Starts collecting in the background of the current runtime.
    pub fn start() -> io::Result<Arc<Self>> {
        let reaper = Arc::new(Self::default());
        // Best effort: without it orphans go to process 1 of the container.
        let _ = nix::sys::prctl::set_child_subreaper(true);
        let mut signals = signal(SignalKind::child())?;
        tokio::spawn({
            let reaper = Arc::clone(&reaper);
            async move {
                while signals.recv().await.is_some() {
                    reaper.collect();
                }
            }
        });
        Ok(reaper)
    }

    /// Starts a child.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Spawned> {
        let mut waiting = self.lock();
        let child = command.spawn()?;
        let id = i32::try_from(child.id()).map_err(io::Error::other)?;
        let (sender, exit) = oneshot::channel();
        waiting.insert(id, sender);
        Ok(Spawned {
            child,
            pid: Pid::from_raw(id),
            exit,
        })
    }

    /// Sends a signal to a child, unless it was collected already and its id may be somebody else's.
    pub fn signal(&self, pid: Pid, signal: Signal) -> Result<(), Errno> {
        let waiting = self.lock();
        if waiting.contains_key(&pid.as_raw()) {
            kill(pid, signal)
        } else {
            Err(Errno::ESRCH)
        }
    }

    fn collect(&self) {
        let mut waiting = self.lock();
        loop {
            let (pid, exit) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Exit::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit::Signal(signal)),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            if let Some(sender) = waiting.remove(&pid.as_raw()) {
                // Nobody may be interested any more.
                let _ = sender.send(exit);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, oneshot::Sender<Exit>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
