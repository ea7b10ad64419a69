//! What happens in a child between fork and exec.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::fcntl::{OFlag, open};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, setgid, setgroups, setsid, setuid, write};

use super::tty;

/// The user that a child becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
}

/// How a child detaches from the daemon.
#[derive(Debug, Clone, Default)]
pub struct Isolation {
    /// Become this user; `None` keeps the daemon's own.
    pub credentials: Option<Credentials>,
    /// Standard input is a terminal that shall become the controlling one.
    pub controlling_terminal: bool,
    /// Value for `/proc/self/oom_score_adj`; failing to write it is ignored.
    pub oom_score_adj: Option<&'static str>,
}

/// Makes `command` start in a session of its own, with the given isolation.
#[expect(unsafe_code, reason = "pre_exec is the only hook between fork and exec")]
pub fn isolate(command: &mut Command, isolation: Isolation) {
    let groups: Vec<Gid> = isolation
        .credentials
        .iter()
        .flat_map(|credentials| credentials.groups.iter().copied().map(Gid::from_raw))
        .collect();
    let ids = isolation
        .credentials
        .map(|credentials| (Uid::from_raw(credentials.uid), Gid::from_raw(credentials.gid)));
    let hook = move || -> io::Result<()> {
        setsid()?;
        if isolation.controlling_terminal {
            tty::take_standard_input_as_terminal()?;
        }
        if let Some(score) = isolation.oom_score_adj {
            write_oom_score(score);
        }
        if let Some((uid, gid)) = ids {
            setgroups(&groups)?;
            setgid(gid)?;
            setuid(uid)?;
        }
        Ok(())
    };
    // SAFETY: the hook makes only async-signal-safe system calls, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(hook);
    }
}

/// Makes `command` start in a session of its own, so that it survives the end of the caller's.
pub fn detach(command: &mut Command) {
    isolate(command, Isolation::default());
}

/// Makes `command` start with no signal blocked, whatever the calling thread blocks.
#[expect(unsafe_code, reason = "pre_exec is the only hook between fork and exec")]
pub fn unblock_signals(command: &mut Command) {
    // SAFETY: the hook makes one async-signal-safe system call.
    unsafe {
        command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?));
    }
}

/// Protects (or exposes) the calling process against the out-of-memory killer, as far as permitted.
pub fn write_oom_score(score: &str) {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    if let Ok(file) = open(c"/proc/self/oom_score_adj", flags, Mode::empty()) {
        // Best effort: an unprivileged daemon may not lower its own score.
        let _ = write(&file, score.as_bytes());
    }
}
