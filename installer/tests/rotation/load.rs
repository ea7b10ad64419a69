//! Clients that never stop asking, each an own process with an own TLS stack,
//! and what they counted.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rotation/clients");

/// A program with a TLS stack of its own.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) title: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// Where it wants the CA file: in this variable, or as its last argument.
    variable: Option<&'static str>,
}

/// The stacks that this machine has. One that is missing is a failure on CI.
pub(crate) fn stacks(folder: &Path) -> Vec<Stack> {
    let python = |title, variable, module: &str| {
        let program = std::env::var_os(variable).map(PathBuf::from);
        program.map(|program| Stack {
            title,
            program,
            arguments: vec![format!("{SOURCES}/client.py"), module.to_owned()],
            variable: Some("SSL_CERT_FILE"),
        })
    };
    let all = [
        (
            "httpx (SILICA_PYTHON_PINNED)",
            python("httpx, OpenSSL", "SILICA_PYTHON_PINNED", "httpx"),
        ),
        (
            "pyqwest (SILICA_PYTHON_CURRENT)",
            python("pyqwest, rustls", "SILICA_PYTHON_CURRENT", "pyqwest"),
        ),
        (
            "node",
            runs("node", &["--version"]).then(|| Stack {
                title: "Node",
                program: "node".into(),
                arguments: vec![format!("{SOURCES}/client.mjs")],
                variable: Some("NODE_EXTRA_CA_CERTS"),
            }),
        ),
        (
            "go",
            runs("go", &["version"]).then(|| Stack {
                title: "Go",
                program: build_go(folder),
                arguments: Vec::new(),
                variable: None,
            }),
        ),
    ];
    all.into_iter()
        .filter_map(|(name, stack)| {
            if stack.is_none() {
                assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
                println!("left out: {name} is not installed");
            }
            stack
        })
        .collect()
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn build_go(folder: &Path) -> PathBuf {
    let executable = folder.join("rotation-client-go");
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&executable)
        .arg(".")
        .current_dir(Path::new(SOURCES).join("go"))
        .envs([("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])
        .status()
        .unwrap();
    assert!(status.success(), "go build: {status}");
    executable
}

/// What one client counted since it was asked last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) first_error: String,
}

/// A client at work; it ends with this value.
pub(crate) struct Client {
    pub(crate) title: String,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) total: Counts,
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Client {
    pub(crate) fn start(stack: &Stack, is_fresh: bool, host: &str, ports: &[u16], roots: &Path) -> Self {
        let connections = if is_fresh { "fresh" } else { "kept" };
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let mut command = Command::new(&stack.program);
        command
            .args(&stack.arguments)
            .args([connections, host, &ports.join(",")]);
        match stack.variable {
            Some(variable) => command.env(variable, roots),
            None => command.arg(roots),
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            title: format!("{}, {connections} connections", stack.title),
            questions: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
            total: Counts::default(),
        }
    }

    /// Sends it a signal, which it is not asked about.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success(), "kill {signal} {}", self.title);
    }

    /// Its open sockets, by the numbers that the system gives each only once.
    pub(crate) fn sockets(&self) -> BTreeSet<PathBuf> {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        files
            // One may be closed meanwhile.
            .filter_map(|file| std::fs::read_link(file.unwrap().path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .collect()
    }

    /// The counts since the last call.
    pub(crate) fn count(&mut self) -> Counts {
        self.questions.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let mut parts = line.trim_end_matches('\n').split('\t');
        let mut number = || {
            let part = parts.next().unwrap_or_default();
            part.parse()
                .unwrap_or_else(|_| panic!("{}: {line:?}", self.title))
        };
        let (succeeded, failed) = (number(), number());
        let counts = Counts {
            succeeded,
            failed,
            first_error: parts.next().unwrap_or_default().to_owned(),
        };
        self.total.succeeded += counts.succeeded;
        self.total.failed += counts.failed;
        counts
    }
}
