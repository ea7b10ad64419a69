//! Starts children and collects their exit statuses.
//!
//! The daemon is a child subreaper: orphans of killed shells become its
//! children, so it has to collect children that it never started, and must not
//! steal the status of one that it is about to start. A start can take long, where
//! the program or its directory is on a mount that hangs: orphans wait for it,
//! known children do not.

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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Known children and who waits for them.
    waiting: HashMap<i32, oneshot::Sender<Exit>>,
    /// Children that are being started and are not known yet.
    starting: usize,
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

    /// Starts a child; returns once its program runs.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Spawned> {
        self.lock().starting += 1;
        let started = command.spawn();
        let (sender, exit) = oneshot::channel();
        let started = {
            let mut state = self.lock();
            state.starting -= 1;
            started.and_then(|child| {
                let id = i32::try_from(child.id()).map_err(io::Error::other)?;
                state.waiting.insert(id, sender);
                Ok((child, id))
            })
        };
        // Its own end, and those of orphans, may have been passed over meanwhile.
        self.collect();
        let (child, id) = started?;
        Ok(Spawned {
            child,
            pid: Pid::from_raw(id),
            exit,
        })
    }

    /// Sends a signal to a child, unless it was collected already and its id may be somebody else's.
    pub fn signal(&self, pid: Pid, signal: Signal) -> Result<(), Errno> {
        let state = self.lock();
        if state.waiting.contains_key(&pid.as_raw()) {
            kill(pid, signal)
        } else {
            Err(Errno::ESRCH)
        }
    }

    fn collect(&self) {
        let mut state = self.lock();
        if state.starting > 0 {
            // A child that fails to start is collected by who starts it.
            let known: Vec<i32> = state.waiting.keys().copied().collect();
            for pid in known {
                state.collect(Some(Pid::from_raw(pid)));
            }
        } else {
            while state.collect(None) {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Collects one child that has ended, any or this one; whether there was one.
    fn collect(&mut self, child: Option<Pid>) -> bool {
        let (pid, exit) = match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, Exit::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit::Signal(signal)),
            Ok(WaitStatus::StillAlive) | Err(_) => return false,
            Ok(_) => return true,
        };
        if let Some(sender) = self.waiting.remove(&pid.as_raw()) {
            // Nobody may be interested any more.
            let _ = sender.send(exit);
        }
        true
    }
}
