//! One kernel process and the connection to it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::launch::{Channel, KernelProgram, Workplace};
use super::message::{Message, Session};
use super::zmtp::{self, SocketKind};
use crate::account::Account;
use crate::blocking::blocking;
use crate::os::spawn::{Isolation, isolate};
use crate::process::{Exit, Reaper};

/// How long a kernel may take to start.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(5);
/// How long to wait for an answer before asking again whether the kernel is ready.
const READY_RETRY: Duration = Duration::from_millis(100);
/// Messages that may wait while a client reads slowly.
const QUEUE: usize = 64;
const OOM_SCORE: &str = "100";

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
pub(super) enum KernelError {
    /// The image has no kernel for this language.
    #[error("no kernel for {0} is installed in this sandbox")]
    NotInstalled(&'static str),
    /// The user to run it as cannot be used.
    #[error("failed to find the user of the kernel: {0}")]
    Account(#[from] crate::account::AccountError),
    /// The directory to start it in, as the client named it.
    #[error("cwd '{0}' is not a directory of this sandbox")]
    NoDirectory(String),
    /// The process did not start.
    #[error("failed to start the kernel: {0}")]
    Spawn(io::Error),
    /// It started, but ended or answered nothing.
    #[error("the kernel did not become ready")]
    NotReady,
    /// It is gone.
    #[error("the kernel is gone")]
    Gone,
}

/// What a kernel is started with.
pub(super) struct KernelPlan {
    pub program: KernelProgram,
    pub account: Account,
    /// Where it starts, if that is a directory.
    pub cwd: PathBuf,
    pub env: BTreeMap<String, String>,
}

/// A running kernel. Dropping it kills its process.
pub(super) struct Kernel {
    session: Session,
    shell: zmtp::Sender,
    messages: mpsc::Receiver<Message>,
    process: OwnedProcess,
    readers: [AbortHandle; 2],
    /// Environment that it was started with.
    pub launch_env: BTreeMap<String, String>,
    /// Global variables as it knows them.
    pub global_env: Arc<BTreeMap<String, String>>,
    _workplace: Workplace,
    // Some kernels end when nobody listens here any more.
    _output: zmtp::Sender,
}

/// A process that dies with this value: nothing is left of a kernel whose
/// client leaves before it is ready.
struct OwnedProcess(KernelProcess);

impl Drop for OwnedProcess {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// The process of a kernel, to be signalled from anywhere.
#[derive(Clone)]
pub(super) struct KernelProcess {
    pid: Pid,
    reaper: Arc<Reaper>,
}

impl KernelProcess {
    /// Interrupts the cell that runs, including programs that it started.
    pub(super) fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Ends the kernel.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        // The reaper knows whether the id is still that of the kernel.
        if self.reaper.signal(self.pid, signal).is_ok() {
            let _ = killpg(self.pid, signal);
        }
    }
}

impl Kernel {
    /// Starts a kernel and waits until it answers.
    pub(super) async fn launch(
        plan: KernelPlan,
        global_env: Arc<BTreeMap<String, String>>,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, KernelError> {
        let reaper = Arc::clone(reaper);
        let spawned = blocking(move || {
            let spawned = spawn(&plan, reaper).map_err(KernelError::Spawn)?;
            Ok((spawned, plan.env))
        });
        let ((workplace, process, exit), launch_env) = spawned.await.unwrap_or(Err(KernelError::Gone))?;
        let connected = timeout(PATIENCE, connect(&workplace, exit)).await;
        let Ok(Ok((shell, output))) = connected else {
            return Err(KernelError::NotReady);
        };
        let session = Session::new(workplace.key.clone());
        let (sender, messages) = mpsc::channel(QUEUE);
        let readers =
            [shell.1, output.1].map(|receiver| read_messages(receiver, session.clone(), sender.clone()));
        let mut kernel = Self {
            session,
            shell: shell.0,
            messages,
            process,
            readers,
            launch_env,
            global_env,
            _workplace: workplace,
            _output: output.0,
        };
        match timeout(PATIENCE, kernel.wait_until_ready()).await {
            Ok(Ok(())) => Ok(kernel),
            Ok(Err(_)) | Err(_) => Err(KernelError::NotReady),
        }
    }

    /// For signals while the kernel is in use.
    pub(super) fn process(&self) -> KernelProcess {
        self.process.0.clone()
    }

    /// Sends a request and returns its id.
    pub(super) async fn request(&mut self, kind: &str, content: &Value) -> Result<String, KernelError> {
        let (id, frames) = self.session.render(kind, content);
        // A request to a router socket starts with the frames of the message itself.
        self.shell.send(&frames).await.map_err(|_| KernelError::Gone)?;
        Ok(id)
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Message, KernelError> {
        self.messages.recv().await.ok_or(KernelError::Gone)
    }

    /// Asks for information until an answer also arrives where output arrives:
    /// subscribing takes effect some time after connecting.
    async fn wait_until_ready(&mut self) -> Result<(), KernelError> {
        let (mut replied, mut subscribed) = (false, false);
        loop {
            self.request("kernel_info_request", &json!({})).await?;
            let deadline = Instant::now() + READY_RETRY;
            while let Ok(message) = tokio::time::timeout_at(deadline, self.next()).await {
                match message?.kind.as_str() {
                    "kernel_info_reply" => replied = true,
                    "status" => subscribed = true,
                    _ => {}
                }
                if replied && subscribed {
                    return Ok(());
                }
            }
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.readers.iter().for_each(AbortHandle::abort);
    }
}

/// Starts the process of a kernel.
fn spawn(
    plan: &KernelPlan,
    reaper: Arc<Reaper>,
) -> io::Result<(Workplace, OwnedProcess, oneshot::Receiver<Exit>)> {
    let workplace = Workplace::create(&plan.program, &plan.account)?;
    let mut command = plan.program.command(&workplace);
    let cwd = if plan.cwd.is_dir() {
        &plan.cwd
    } else {
        Path::new("/")
    };
    command.env_clear().envs(&plan.env).current_dir(cwd);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    isolate(
        &mut command,
        Isolation {
            credentials: plan.account.credentials(),
            controlling_terminal: false,
            oom_score_adj: Some(OOM_SCORE),
        },
    );
    let spawned = reaper.spawn(&mut command)?;
    let process = OwnedProcess(KernelProcess {
        pid: spawned.pid,
        reaper,
    });
    Ok((workplace, process, spawned.exit))
}

type Connection = (zmtp::Sender, zmtp::Receiver);

/// Connects as soon as the kernel has created its sockets; fails when it ends first.
async fn connect(
    workplace: &Workplace,
    mut exit: oneshot::Receiver<Exit>,
) -> Result<(Connection, Connection), KernelError> {
    let connections = async {
        let output = connect_when_there(&workplace.socket(Channel::Output), SocketKind::Subscriber).await;
        let shell = connect_when_there(&workplace.socket(Channel::Shell), SocketKind::Dealer).await;
        (shell, output)
    };
    tokio::select! {
        connections = connections => Ok(connections),
        _ = &mut exit => Err(KernelError::NotReady),
    }
}

async fn connect_when_there(path: &Path, kind: SocketKind) -> Connection {
    loop {
        if let Ok(connection) = zmtp::connect(path, kind).await {
            return connection;
        }
        sleep(POLL).await;
    }
}

fn read_messages(
    mut receiver: zmtp::Receiver,
    session: Session,
    sender: mpsc::Sender<Message>,
) -> AbortHandle {
    let task = tokio::spawn(async move {
        while let Ok(frames) = receiver.receive().await {
            if let Some(message) = session.parse(&frames)
                && sender.send(message).await.is_err()
            {
                return;
            }
        }
    });
    task.abort_handle()
}
