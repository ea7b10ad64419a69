//! How the API talks to a process that runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::sync::{mpsc, oneshot};

use super::control::ControlError;
use super::hub::{Hub, Subscription};
use super::input::{InputCommand, InputKind};

/// What was asked for when the process was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// Program.
    pub cmd: String,
    /// Arguments without the program.
    pub args: Vec<String>,
    /// Environment of the request only.
    pub envs: BTreeMap<String, String>,
    /// Working directory of the request.
    pub cwd: Option<String>,
    /// Name chosen by the client.
    pub tag: Option<String>,
}

/// Request to the task that owns the process.
pub(super) enum Control {
    /// Send a signal.
    Signal {
        signal: Signal,
        reply: oneshot::Sender<Result<(), ControlError>>,
    },
    /// Resize the terminal.
    Resize {
        columns: u16,
        rows: u16,
        reply: oneshot::Sender<Result<(), ControlError>>,
    },
}

/// A process from the outside.
pub struct Handle {
    /// Process id.
    pub pid: Pid,
    /// What was started.
    pub info: Info,
    pub(super) hub: Arc<Hub>,
    pub(super) control: mpsc::Sender<Control>,
    pub(super) input: mpsc::Sender<InputCommand>,
}

impl Handle {
    /// Joins the events of the process.
    pub fn subscribe(&self) -> Subscription {
        self.hub.subscribe()
    }

    /// Whether the process still runs.
    pub fn is_running(&self) -> bool {
        !self.hub.is_closed()
    }

    /// Sends a signal; `SIGKILL` reaches the whole session.
    pub async fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        let (reply, answer) = oneshot::channel();
        let command = Control::Signal { signal, reply };
        self.control
            .send(command)
            .await
            .map_err(|_| ControlError::Ended)?;
        answer.await.unwrap_or(Err(ControlError::Ended))
    }

    /// Changes the size of the terminal.
    pub async fn resize(&self, columns: u16, rows: u16) -> Result<(), ControlError> {
        let (reply, answer) = oneshot::channel();
        let command = Control::Resize { columns, rows, reply };
        self.control
            .send(command)
            .await
            .map_err(|_| ControlError::Ended)?;
        answer.await.unwrap_or(Err(ControlError::Ended))
    }

    /// Writes input and returns once the process's pipe or terminal has taken all of it.
    pub async fn write(&self, kind: InputKind, data: Bytes) -> Result<(), ControlError> {
        let (reply, answer) = oneshot::channel();
        let command = InputCommand::Write { kind, data, reply };
        self.input.send(command).await.map_err(|_| ControlError::Ended)?;
        answer.await.unwrap_or(Err(ControlError::Ended))
    }

    /// Ends the standard input.
    pub async fn close_input(&self) -> Result<(), ControlError> {
        let (reply, answer) = oneshot::channel();
        self.input
            .send(InputCommand::Close { reply })
            .await
            .map_err(|_| ControlError::Ended)?;
        answer.await.unwrap_or(Err(ControlError::Ended))
    }
}
