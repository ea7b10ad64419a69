//! The task that owns one child.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::handle::Control;
use super::hub::Hub;
use super::input::{self, Input};
use super::output::{pump_pipe, pump_terminal};
use super::reaper::Spawned;
use super::{ControlError, End, Exit, Handle, OutputKind, Plan, Reaper, StartError, Subscription};
use crate::os::readiness::{Watched, register};
use crate::os::spawn::{Isolation, isolate};
use crate::os::tty;
use crate::sandbox::Sandbox;

/// How long a process that ended can still be connected to.
const MEMORY: Duration = Duration::from_secs(30);
/// How long output may pause after the exit before it counts as complete;
/// a background process may hold the pipes open forever.
const QUIET: Duration = Duration::from_millis(500);
const QUEUE: usize = 16;
const CHILD_OOM_SCORE: &str = "100";

/// Starts a process and the task that owns it. The subscription sees all of its output.
/// Returns once the program runs, which takes long where its disk does.
///
/// At `deadline` the process is killed.
pub fn start(
    sandbox: &Arc<Sandbox>,
    plan: Plan,
    deadline: Option<Instant>,
) -> Result<(Arc<Handle>, Subscription), StartError> {
    let (mut command, terminal) = prepare(&plan)?;
    let spawned = sandbox
        .reaper
        .spawn(&mut command)
        .map_err(|reason| StartError::Spawn {
            cmd: plan.info.cmd.clone(),
            reason,
        })?;
    // Closes our copies of the terminal's slave side.
    drop(command);
    let Spawned { mut child, pid, exit } = spawned;

    let hub = Arc::new(Hub::default());
    let subscription = hub.subscribe();
    let mut pumps = JoinSet::new();
    let input = match &terminal {
        Some(master) => {
            pumps.spawn(pump_terminal(Arc::clone(master), Arc::clone(&hub)));
            Input::Pty(Arc::clone(master))
        }
        None => connect_pipes(&mut child, &hub, &mut pumps).map_err(StartError::Connect)?,
    };
    let (control, controls) = mpsc::channel(QUEUE);
    let (input_sender, input_commands) = mpsc::channel(QUEUE);
    let feeder = tokio::spawn(input::serve(input, input_commands)).abort_handle();
    let handle = Arc::new(Handle {
        pid,
        info: plan.info,
        hub,
        control,
        input: input_sender,
    });
    sandbox.processes.insert(Arc::clone(&handle));

    let owner = Owner {
        sandbox: Arc::clone(sandbox),
        handle: Arc::clone(&handle),
        terminal,
        controls,
        pumps,
        feeder,
    };
    tokio::spawn(owner.run(exit, deadline));
    Ok((handle, subscription))
}

type Terminal = Option<Arc<AsyncFd<Watched<OwnedFd>>>>;

fn prepare(plan: &Plan) -> Result<(Command, Terminal), StartError> {
    let mut command = Command::new(&plan.info.cmd);
    command
        .args(&plan.info.args)
        .env_clear()
        .envs(&plan.env)
        .current_dir(&plan.cwd);
    let terminal = if let Some((columns, rows)) = plan.terminal {
        let (master, slave) = tty::open_terminal(columns, rows).map_err(StartError::Connect)?;
        let (second, third) = (slave.try_clone(), slave.try_clone());
        command
            .stdin(slave)
            .stdout(second.map_err(StartError::Connect)?)
            .stderr(third.map_err(StartError::Connect)?);
        Some(Arc::new(register(master).map_err(StartError::Connect)?))
    } else {
        command.stdin(if plan.stdin { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        None
    };
    let isolation = Isolation {
        credentials: plan.account.credentials(),
        controlling_terminal: terminal.is_some(),
        oom_score_adj: Some(CHILD_OOM_SCORE),
    };
    isolate(&mut command, isolation);
    Ok((command, terminal))
}

fn connect_pipes(
    child: &mut std::process::Child,
    hub: &Arc<Hub>,
    pumps: &mut JoinSet<()>,
) -> std::io::Result<Input> {
    if let Some(stdout) = child.stdout.take() {
        let pipe = pipe::Receiver::from_owned_fd(stdout.into())?;
        pumps.spawn(pump_pipe(OutputKind::Stdout, pipe, Arc::clone(hub)));
    }
    if let Some(stderr) = child.stderr.take() {
        let pipe = pipe::Receiver::from_owned_fd(stderr.into())?;
        pumps.spawn(pump_pipe(OutputKind::Stderr, pipe, Arc::clone(hub)));
    }
    Ok(match child.stdin.take() {
        Some(stdin) => Input::Pipe(pipe::Sender::from_owned_fd(stdin.into())?),
        None => Input::Closed,
    })
}

struct Owner {
    sandbox: Arc<Sandbox>,
    handle: Arc<Handle>,
    terminal: Terminal,
    controls: mpsc::Receiver<Control>,
    pumps: JoinSet<()>,
    feeder: AbortHandle,
}

impl Owner {
    async fn run(mut self, exit: oneshot::Receiver<Exit>, deadline: Option<Instant>) {
        let end = self.supervise(exit, deadline).await;
        self.drain().await;
        self.feeder.abort();
        self.handle.hub.close(end);
        // Answers that are still owed become errors.
        drop(self.controls);
        self.pumps.detach_all();
        sleep(MEMORY).await;
        self.sandbox.processes.remove(&self.handle);
    }

    /// Serves requests until the child has ended.
    async fn supervise(&mut self, mut exit: oneshot::Receiver<Exit>, deadline: Option<Instant>) -> End {
        let mut expired = false;
        loop {
            tokio::select! {
                result = &mut exit => {
                    // The sender lives until the child is collected; losing it would mean a lost status.
                    let exit = result.unwrap_or(Exit::Code(-1));
                    return if expired { End::DeadlineExceeded } else { End::Exited(exit) };
                }
                Some(control) = self.controls.recv() => self.handle_control(control),
                () = wait_until(deadline), if !expired => {
                    expired = true;
                    let _ = self.signal(Signal::SIGKILL);
                }
            }
        }
    }

    /// Waits until all output was read, or none came for a while. A reader that
    /// has to take some yet is waited for: the rest of the output is behind it.
    async fn drain(&mut self) {
        let exited = Instant::now();
        loop {
            let last = self.handle.hub.last_output().unwrap_or(exited).max(exited);
            tokio::select! {
                finished = self.pumps.join_next() => if finished.is_none() { return },
                Some(control) = self.controls.recv() => self.handle_control(control),
                () = sleep_until(last + QUIET) => {
                    if self.handle.hub.last_output().is_none_or(|output| output <= last) {
                        return;
                    }
                }
            }
        }
    }

    fn handle_control(&self, control: Control) {
        // A caller that has given up needs no answer.
        match control {
            Control::Signal { signal, reply } => {
                let _ = reply.send(self.signal(signal));
            }
            Control::Resize { columns, rows, reply } => {
                let _ = reply.send(match &self.terminal {
                    Some(master) => {
                        tty::resize(&**master.get_ref(), columns, rows).map_err(ControlError::Resize)
                    }
                    None => Err(ControlError::NoTerminal),
                });
            }
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        let pid = self.handle.pid;
        if signal == Signal::SIGKILL {
            // Children first: none of them is orphaned and missed.
            kill_session(&self.sandbox.reaper, pid);
        }
        self.sandbox
            .reaper
            .signal(pid, signal)
            .map_err(|error| match error {
                nix::errno::Errno::ESRCH => ControlError::Ended,
                error => ControlError::Signal(error),
            })
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Kills every process of the session that `leader` leads.
fn kill_session(reaper: &Reaper, leader: Pid) {
    // Frozen, the leader can start no further children.
    if reaper.signal(leader, Signal::SIGSTOP).is_err() {
        return;
    }
    for pid in read_session_members(leader) {
        let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
    }
    let _ = killpg(leader, Signal::SIGKILL);
}

fn read_session_members(leader: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != leader.as_raw())
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            parse_session(&stat) == Some(leader.as_raw())
        })
        .map(Pid::from_raw)
        .collect()
}

/// Session id in the text of `/proc/<pid>/stat` (proc(5), field 6).
fn parse_session(stat: &str) -> Option<i32> {
    // The command name may contain spaces and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_is_found_behind_a_nasty_command_name() {
        assert_eq!(parse_session("7 (a) b (c) S 1 7 42 0 -1"), Some(42));
        assert_eq!(parse_session("nonsense"), None);
    }
}
