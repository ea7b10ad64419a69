//! `start`: leaves a running daemon behind.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use silica_runtime_api::{BINARY_NAME, HEALTH_PATH};

use crate::account::provision_sandbox_user;
use crate::daemon::Ports;
use crate::os::spawn::detach;

/// How long the daemon may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why no daemon runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("failed to start the daemon")]
    Spawn(#[source] io::Error),
    #[error("the daemon ended at once: {0}")]
    Ended(std::process::ExitStatus),
    #[error("the daemon did not answer on port {port} within {} s", PATIENCE.as_secs())]
    Silent { port: u16 },
}

/// Creates the default user, starts the daemon in a session of its own and
/// returns once it answers. A daemon that runs already is left alone.
pub fn start(ports: Ports) -> Result<(), StartError> {
    if answers(ports.daemon) {
        return Ok(());
    }
    if let Err(error) = provision_sandbox_user() {
        // A read-only image still gets its daemon; commands run as root then.
        tracing::warn!(error = &error as &dyn std::error::Error, "no default user");
    }
    let mut child = spawn_daemon(ports).map_err(StartError::Spawn)?;
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if answers(ports.daemon) {
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            // Somebody else may have been faster and hold the port.
            return if answers(ports.daemon) {
                Ok(())
            } else {
                Err(StartError::Ended(status))
            };
        }
        std::thread::sleep(POLL);
    }
    Err(StartError::Silent { port: ports.daemon })
}

/// The daemon keeps nothing of ours: the exec session that called us ends when its pipes close.
fn spawn_daemon(ports: Ports) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(BINARY_NAME);
    command.arg("serve").arg("--port").arg(ports.daemon.to_string());
    match ports.interpreter {
        Some(port) => command.arg("--interpreter-port").arg(port.to_string()),
        None => command.arg("--no-interpreter"),
    };
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    detach(&mut command);
    command.spawn()
}

fn answers(port: u16) -> bool {
    probe(port).unwrap_or(false)
}

fn probe(port: u16) -> io::Result<bool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    write!(
        stream,
        "GET {HEALTH_PATH} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(answer == *b"HTTP/1.1 204")
}
