//! `init`: process 1 of a sandbox's container, with the user's command as its child.
//!
//! The kernel lets nobody inside a PID namespace stop its process 1. With this
//! in its place the user's command is an ordinary process and can be frozen.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use crate::os::spawn::unblock_signals;

/// Added to the number of the signal that ended a command, as shells do.
const SIGNALLED: u8 = 128;
/// Exit codes of a command that cannot be run, as shells have them.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Runs the command, passes on what signals arrive, collects orphans, and returns the code to end with:
/// that of the command.
pub fn run(command: &[OsString]) -> u8 {
    // Blocked signals stay pending, so none is missed. As process 1 their default would be to do nothing.
    let signals = SigSet::all();
    let _ = signals.thread_block();
    let Some((program, arguments)) = command.split_first() else {
        return NOT_FOUND;
    };
    // Without process 1 (a PID namespace that containers share) orphans come here all the same.
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let mut child = Command::new(program);
    child.args(arguments);
    unblock_signals(&mut child);
    let child = match child.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(program = %program.display(), %error, "failed to run the container's command");
            return code_of_failure(&error);
        }
    };
    let pid = Pid::from_raw(child.id().cast_signed());
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = collect(pid) {
                    return code;
                }
            }
            Ok(signal) => pass_on(pid, signal),
            // A real-time signal, which has no name here.
            Err(_) => {}
        }
    }
}

/// Collects all that have ended; the exit code, if the command is among them.
fn collect(command: Pid) -> Option<u8> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == command => {
                return Some(u8::try_from(code & 0xFF).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                return Some(SIGNALLED + u8::try_from(signal as i32).unwrap_or_default());
            }
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

fn pass_on(command: Pid, signal: Signal) {
    // The child may have ended a moment ago.
    let _ = kill(command, signal);
    // A frozen sandbox that shall end needs its processes to take the signal. `-1` is everything but
    // process 1 of this namespace; elsewhere it would be the machine.
    if signal == Signal::SIGTERM && getpid() == Pid::from_raw(1) {
        let _ = kill(Pid::from_raw(-1), Signal::SIGCONT);
    }
}

fn code_of_failure(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_EXECUTABLE
    }
}
