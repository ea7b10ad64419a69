//! A CA, a name server, a folder, and the built binary between them.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use silica_acme_stage::{KEY, Knot, Pebble, SECRET, ZONE};
use silica_certs::{inspect, verify};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// Line of a record as a zone file has it.
const RECORD: &str = " IN TXT ";

pub(crate) fn domain() -> String {
    format!("sandbox.{ZONE}")
}

pub(crate) struct Stage {
    pub(crate) knot: Knot,
    pub(crate) pebble: Pebble,
    pub(crate) folder: tempfile::TempDir,
}

impl Stage {
    /// `None` when a tool is not named; the fixture has said so.
    pub(crate) fn set() -> Option<Self> {
        let knot = Knot::start("")?;
        let pebble = Pebble::start(knot.address, 0)?;
        Some(Self {
            knot,
            pebble,
            folder: tempfile::tempdir().unwrap(),
        })
    }

    /// Flags that name the CA and open an account there.
    pub(crate) fn ca(&self) -> Vec<String> {
        let directory = self.pebble.directory.to_string();
        let roots = self.pebble.roots_file.display().to_string();
        words(&[
            "--acme-directory",
            &directory,
            "--acme-ca",
            &roots,
            "--email",
            "admin@silica.test",
            "--agree-tos",
        ])
    }

    /// Flags for the records: who makes them is `how`.
    pub(crate) fn dns(&self, how: &[&str]) -> Vec<String> {
        let check = self.knot.address.to_string();
        [
            words(&["--dns-check", &check, "--wait", "10s", "--dns"]),
            words(how),
        ]
        .concat()
    }

    /// Flags for signed updates of `server` with the secret of a file.
    pub(crate) fn updates(&self, server: &str, secret: &str) -> Vec<String> {
        let file = self.write("tsig.key", secret);
        let file = file.display().to_string();
        self.dns(&[
            "rfc2136",
            "--dns-server",
            server,
            "--tsig-name",
            KEY,
            "--tsig-secret-file",
            &file,
        ])
    }

    /// [`Stage::updates`] as they succeed.
    pub(crate) fn good_updates(&self) -> Vec<String> {
        self.updates(&self.knot.address.to_string(), SECRET)
    }

    pub(crate) fn hook_flags(&self, hook: &Path) -> Vec<String> {
        self.dns(&["exec", "--dns-exec", &hook.display().to_string()])
    }

    /// The hook that works, wrapped: `text` is a shell script in which `$HOOK` is it.
    pub(crate) fn wrapped_hook(&self, text: &str) -> PathBuf {
        let hook = self.knot.hook(self.folder.path());
        let script = format!("#!/bin/sh\nset -eu\nHOOK={}\n{text}\n", hook.display());
        let path = self.write("wrapper.sh", &script);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// `silica certs issue` into the folder `out`.
    pub(crate) fn command(&self, flags: &[Vec<String>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_silica"));
        command
            .args(["certs", "issue", "-d", &domain(), "-o", "out", "--timeout", "60s"])
            .args(flags.concat())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.folder.path());
        command
    }

    pub(crate) fn issue(&self, flags: &[Vec<String>]) -> Output {
        self.command(flags).output().unwrap()
    }

    pub(crate) fn start(&self, flags: &[Vec<String>]) -> Run {
        Run::of(self.command(flags).stderr(Stdio::piped()).spawn().unwrap())
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("out").join(name)).unwrap()
    }

    /// Whether the order has left a certificate.
    pub(crate) fn has_certificate(&self) -> bool {
        self.folder.path().join("out/fullchain.pem").exists()
    }

    pub(crate) fn challenges(&self) -> Vec<String> {
        self.knot.challenges(&domain())
    }

    #[track_caller]
    pub(crate) fn verify_swept(&self) {
        assert_eq!(self.challenges(), Vec::<String>::new(), "records are left");
    }
}

pub(crate) fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// Apex, wildcard, an issuer, and the key that belongs to it.
#[track_caller]
pub(crate) fn verify_chain(chain: &str, key: &str) {
    let parsed = inspect::parse_chain(chain).unwrap();
    assert!(parsed.len() > 1, "no issuer came along");
    for name in [domain(), format!("api.{}", domain())] {
        assert!(parsed[0].covers(&name), "{:?}", parsed[0].names);
    }
    verify::key_matches(chain, key).unwrap();
}

/// Everything that a run said, and that no secret is in it.
#[track_caller]
pub(crate) fn said(output: &Output) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!text.contains(SECRET), "{text}");
    assert!(!text.contains("PRIVATE KEY"), "{text}");
    text
}

#[track_caller]
pub(crate) fn expect(output: &Output, code: i32, parts: &[&str]) -> String {
    let text = said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    text
}

/// A run under way; what it says on standard error is kept. It ends with this value.
pub(crate) struct Run {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Run {
    pub(crate) fn of(mut child: Child) -> Self {
        let said = Arc::<Mutex<String>>::default();
        let (lines, kept) = (
            BufReader::new(child.stderr.take().unwrap()).lines(),
            Arc::clone(&said),
        );
        let reader = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self {
            child,
            said,
            reader: Some(reader),
        }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it is so, while the run goes on.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !is_so(&self.said()) {
            assert!(start.elapsed() < PATIENCE, "{what}: not yet\n{}", self.said());
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{what}: {ended:?}\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a person would copy into the zone: names and values.
    #[track_caller]
    pub(crate) fn records(&mut self) -> Vec<(String, String)> {
        self.wait_until("the records are shown", |said| said.matches(RECORD).count() >= 2);
        records(&self.said())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success(), "kill {signal}");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        };
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, self.said())
    }
}

/// Names and values of the records in a text.
pub(crate) fn records(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| line.contains(RECORD));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split_whitespace().collect();
            (
                parts[0].trim_end_matches('.').to_owned(),
                parts[4].trim_matches('"').to_owned(),
            )
        })
        .collect()
}

/// Does with the records what a person does in a web console, one by one.
pub(crate) fn by_hand(hook: &Path, action: &str, records: &[(String, String)]) {
    for (name, value) in records {
        let status = Command::new(hook)
            .args([action, name, value])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{action} {name}");
    }
}
