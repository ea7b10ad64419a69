//! A daemon on free ports, and just enough HTTP to see what it really sends.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;
use silica_free_ports::free_port;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The executable.
pub(crate) const DAEMON: &str = env!("CARGO_BIN_EXE_sandbox-runtime");

/// A command that runs `first` as process 1 of a PID namespace, which ends with it.
pub(crate) fn isolated(first: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--").args(first);
    command
}

pub(crate) struct Daemon {
    process: Child,
    port: u16,
}

pub(crate) struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Daemon {
    /// Starts a daemon without the interpreter and waits until it answers.
    pub(crate) fn start(env: &[(&str, &str)]) -> Self {
        let port = free_port();
        Self::spawn(port, &["--no-interpreter", "--port", &port.to_string()], env)
    }

    /// Starts a daemon and waits until its interpreter answers; requests go to that.
    pub(crate) fn start_interpreter(env: &[(&str, &str)]) -> Self {
        let [port, interpreter] = [free_port(), free_port()];
        let ports = [port, interpreter].map(|port| port.to_string());
        let arguments = ["--port", &ports[0], "--interpreter-port", &ports[1]];
        Self::spawn(interpreter, &arguments, env)
    }

    /// Starts a daemon in a PID namespace of its own, as in a container, with `first` as its process 1.
    /// `first` gets the daemon's command line as arguments.
    pub(crate) fn start_isolated(first: &[&str]) -> Self {
        let port = free_port();
        let mut command = isolated(first);
        let port_text = port.to_string();
        command.args([DAEMON, "serve", "--no-interpreter", "--port", &port_text]);
        Self::adopt(command.spawn().unwrap(), port)
    }

    fn spawn(port: u16, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let process = Command::new(DAEMON)
            .arg("serve")
            .args(arguments)
            .envs(env.iter().copied())
            .spawn()
            .unwrap();
        Self::adopt(process, port)
    }

    fn adopt(process: Child, port: u16) -> Self {
        let mut daemon = Self { process, port };
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = daemon.process.try_wait().unwrap();
            assert!(ended.is_none(), "the daemon has ended: {ended:?}");
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "the daemon does not answer"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        daemon
    }

    /// A connection to the daemon, for what [`Daemon::request`] cannot say.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Asks the process to end and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.process.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let begin = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Resident memory of the process in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// One request on a connection of its own.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        write!(stream, "{head}content-length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Response::parse(&answer)
    }
}

/// Waits until there is a value.
pub(crate) fn wait_until<T>(condition: impl Fn() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < PATIENCE, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Response {
    pub(crate) fn parse(answer: &[u8]) -> Self {
        let split = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(answer[..split].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut response = Self {
            status,
            headers,
            body: answer[split + 4..].to_vec(),
        };
        if response.header("transfer-encoding") == Some("chunked") {
            response.body = join_chunks(&response.body);
        }
        response
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A message as the body of a Connect stream.
pub(crate) fn envelope(message: &Value) -> Vec<u8> {
    raw_envelope(message.to_string().as_bytes())
}

/// Flags and messages of the body of a Connect stream.
pub(crate) fn envelopes(body: &[u8]) -> Vec<(u8, Value)> {
    raw_envelopes(body)
        .into_iter()
        .map(|(flags, message)| (flags, serde_json::from_slice(message).unwrap()))
        .collect()
}

/// [`envelope`] for a message in any codec.
pub(crate) fn raw_envelope(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend(message);
    bytes
}

/// [`envelopes`] for messages in any codec.
pub(crate) fn raw_envelopes(mut body: &[u8]) -> Vec<(u8, &[u8])> {
    let mut messages = Vec::new();
    while let Some((head, rest)) = body.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        messages.push((head[0], &rest[..length]));
        body = &rest[length..];
    }
    messages
}

fn join_chunks(mut body: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return joined;
        }
        joined.extend(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
}
