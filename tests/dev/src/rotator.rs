//! Replaces the certificate and the CA of the local installation with `silica rotate-certs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use silica_cluster::Cluster;

use crate::environment;
use crate::load::Client;

/// Exit code of a command that finds another one at work, here the controller.
const BUSY: i32 = 75;
/// How long that may take, and how long a client may take to have an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the commands of an installation.
pub(crate) struct Rotator<'a> {
    silica: &'a Path,
    kubeconfig: &'a Path,
    /// For certificates that are exported.
    folder: &'a Path,
}

impl<'a> Rotator<'a> {
    /// An error while a CA is being replaced already.
    pub(crate) fn new(cluster: &'a Cluster, silica: &'a Path, folder: &'a Path) -> Result<Self> {
        let rotator = Self {
            silica,
            kubeconfig: &cluster.layout().kubeconfig,
            folder,
        };
        let status = rotator.rotate(&["status"])?.0;
        ensure!(
            status["phase"].is_null(),
            "failed to begin: a CA is being replaced; see silica rotate-certs status"
        );
        Ok(rotator)
    }

    /// Makes clients on this machine trust what is served now.
    pub(crate) fn renew_trust(&self) -> Result<()> {
        let file = environment::ca_file();
        self.silica(&["env", "--ca-file", &file.display().to_string()])
            .map(drop)
    }

    /// Runs `silica rotate-certs` and returns what it said and how long it took. Again while
    /// the controller is at work.
    pub(crate) fn rotate(&self, arguments: &[&str]) -> Result<(Value, Duration)> {
        let arguments = [&["rotate-certs"], arguments, &["-o", "json"]].concat();
        let text;
        let deadline = Instant::now() + PATIENCE;
        let took = loop {
            let began = Instant::now();
            match self.try_silica(&arguments)? {
                Ok(output) => {
                    text = output;
                    break began.elapsed();
                }
                Err((Some(BUSY), _)) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                Err((_, error)) => bail!("silica {}: {error}", arguments.join(" ")),
            }
        };
        let value = serde_json::from_str(&text)
            .with_context(|| format!("failed to read the output of silica {}", arguments.join(" ")))?;
        Ok((value, took))
    }

    fn silica(&self, arguments: &[&str]) -> Result<String> {
        self.try_silica(arguments)?
            .map_err(|(_, error)| anyhow::anyhow!("silica {}: {error}", arguments.join(" ")))
    }

    /// What it printed; else its exit code, and what it said about that.
    fn try_silica(&self, arguments: &[&str]) -> Result<Result<String, (Option<i32>, String)>> {
        let output = Command::new(self.silica)
            .args(arguments)
            .args(["--yes", "--kubeconfig"])
            .arg(self.kubeconfig)
            .env_remove("SSL_CERT_FILE")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("failed to run {}", self.silica.display()))?;
        if output.status.success() {
            let text = String::from_utf8(output.stdout).context("failed to read the output of silica")?;
            return Ok(Ok(text));
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok(Err((output.status.code(), said)))
    }

    /// The CA certificates that clients have to trust now, as a file.
    pub(crate) fn export(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, self.silica(&["certs", "export"])?)
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }
}

/// Waits until each client has asked again, so that the last change has been met.
pub(crate) fn warm(clients: &mut [&mut Client]) -> Result<()> {
    for client in clients {
        client.wait_for_more(PATIENCE)?;
    }
    Ok(())
}
