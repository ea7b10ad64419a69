//! Knot DNS on loopback, with a port of its own.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use silica_acme::{dns::Resolver, provider::tsig};
use silica_free_ports::free_address;

use crate::process::{Running, given, wait_until};

/// Zone that the key may update.
pub const ZONE: &str = "silica.test";
/// Zone that it may not.
pub const CLOSED: &str = "closed.test";
/// Name of the key.
pub const KEY: &str = "acme";
/// Secret of the key.
pub const SECRET: &str = "c2VjcmV0IG9mIDMyIGJ5dGVzIGZvciBhIGtleSEhISE=";

/// Knot DNS that serves [`ZONE`] and [`CLOSED`].
pub struct Knot {
    /// Where it answers.
    pub address: SocketAddr,
    root: PathBuf,
    _folder: tempfile::TempDir,
    _process: Running,
}

impl Knot {
    /// Starts it; `records` are further lines of the zone.
    pub fn start(records: &str) -> Option<Self> {
        let root = given("SILICA_KNOT")?;
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        for zone in [ZONE, CLOSED] {
            let text = format!(
                "$ORIGIN {zone}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n{records}\n"
            );
            fs::write(folder.path().join(format!("{zone}.zone")), text).unwrap();
        }
        let here = folder.path().display();
        let port = address.port();
        let configuration = format!(
            "server:\n  rundir: {here}\n  listen: 127.0.0.1@{port}\n\
             database:\n  storage: {here}\n\
             log:\n- target: stderr\n  any: warning\n\
             key:\n- id: {KEY}\n  algorithm: hmac-sha256\n  secret: {SECRET}\n\
             acl:\n- id: update\n  key: {KEY}\n  action: update\n\
             template:\n- id: default\n  storage: {here}\n  file: \"%s.zone\"\n  zonefile-sync: -1\n\
             zone:\n- domain: {ZONE}\n  acl: update\n- domain: {CLOSED}\n"
        );
        let path = folder.path().join("knot.conf");
        fs::write(&path, configuration).unwrap();
        let process = command(&root, "usr/sbin/knotd")
            .arg("-c")
            .arg(&path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let knot = Self {
            address,
            root,
            _folder: folder,
            _process: Running(process),
        };
        wait_until("Knot answers", || {
            TcpListener::bind(address).is_err() && knot.has_zones()
        });
        Some(knot)
    }

    fn has_zones(&self) -> bool {
        self.dig(&format!("{CLOSED}."), "SOA").contains("hostmaster")
    }

    /// What it answers, in short form.
    pub fn dig(&self, name: &str, kind: &str) -> String {
        let output = command(&self.root, "usr/bin/kdig")
            .args(["+short", "+timeout=1", "+retry=0", "@127.0.0.1", "-p"])
            .args([&self.address.port().to_string(), name, kind])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The TXT records of the challenge of a domain.
    pub fn challenges(&self, domain: &str) -> Vec<String> {
        let lines = self.dig(&format!("_acme-challenge.{domain}."), "TXT");
        lines.lines().map(str::to_owned).collect()
    }

    /// Asks this server only.
    pub fn resolver(&self) -> Resolver {
        Resolver::system(vec![self.address])
    }

    /// The key that may update [`ZONE`].
    pub fn key() -> tsig::Key {
        tsig::Key::read(SECRET, Some(KEY), None).unwrap()
    }

    /// A hook as users write it, around the server's own update client.
    pub fn hook(&self, folder: &Path) -> PathBuf {
        let path = folder.join("hook.sh");
        let (libraries, client) = (libraries(&self.root), self.root.join("usr/bin/knsupdate"));
        let text = format!(
            "#!/bin/sh\nset -eu\ncase $1 in\n\
             present) line=\"update add $2. 60 TXT \\\"$3\\\"\" ;;\n\
             cleanup) line=\"update delete $2. TXT \\\"$3\\\"\" ;;\n\
             *) echo \"unknown action $1\" >&2; exit 2 ;;\nesac\n\
             printf 'server 127.0.0.1 {port}\\nzone {ZONE}.\\n%s\\nsend\\n' \"$line\" |\n\
             LD_LIBRARY_PATH={libraries} {client} -y hmac-sha256:{KEY}:{SECRET}\n",
            port = self.address.port(),
            libraries = libraries.display(),
            client = client.display(),
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }
}

fn libraries(root: &Path) -> PathBuf {
    let folder = root
        .join("usr/lib")
        .join(format!("{}-linux-gnu", env::consts::ARCH));
    if folder.exists() {
        folder
    } else {
        root.join("usr/lib")
    }
}

fn command(root: &Path, program: &str) -> Command {
    let mut command = Command::new(root.join(program));
    command.env("LD_LIBRARY_PATH", libraries(root));
    command
}
