//! Replacement of the certificate and of the CA of the local installation, while clients with
//! the HTTP stack of the newest SDK never stop asking.

mod client;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use silica_cluster::{Cluster, Status, layout::LOCAL_DOMAIN};

use crate::bench::{median, milliseconds};
use crate::test::bare::is_bare;
use crate::{environment, python, workspace};
use client::Client;

/// Times that the certificate is replaced, at most.
const ROUNDS_MAX: usize = 10;
/// Spread and soak, which real clients need longer: here they are restarted by nobody.
const WAIT: Duration = Duration::from_secs(2);
/// From the Secret's change to the new certificate at every way in, by the design.
const SERVED_MAX: Duration = Duration::from_secs(1);
/// Exit code of a command that finds another one at work, here the controller.
const BUSY: i32 = 75;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Prints two tables, or why there are none.
pub(super) fn run(cluster: &Cluster, silica: &Path, folder: &Path, rounds: usize) -> Result<()> {
    println!();
    if !matches!(cluster.status()?, Status::Running(_)) || is_bare(cluster)? {
        println!("replacement under load: not timed, nothing is installed here (cargo xtask up)");
        return Ok(());
    }
    let bench = Bench {
        silica,
        kubeconfig: &cluster.layout().kubeconfig,
        folder,
    };
    let status = bench.rotate(&["status"])?.0;
    ensure!(
        status["phase"].is_null(),
        "failed to begin: a CA is being replaced; see silica rotate-certs status"
    );
    let requirements = workspace::root().join("tests/sdk/current/requirements.txt");
    let python = python::environment(&cluster.layout().cache, &requirements)?;
    let measured = bench.measure(&python, rounds.clamp(1, ROUNDS_MAX));
    // Whatever came of it: clients on this machine are to trust what is served now.
    let renewed = bench.silica(&["env", "--ca-file", &environment::ca_file().display().to_string()]);
    measured.and(renewed.map(drop))
}

struct Bench<'a> {
    silica: &'a Path,
    kubeconfig: &'a Path,
    folder: &'a Path,
}

/// How long the replacements of the certificate took.
#[derive(Default)]
struct Replaced {
    commands: Vec<Duration>,
    served: Vec<Duration>,
}

impl Bench<'_> {
    fn measure(&self, python: &Path, rounds: usize) -> Result<()> {
        let host = format!("api.{LOCAL_DOMAIN}");
        let start = |title, is_fresh, roots: &Path| Client::start(python, title, is_fresh, &host, roots);
        let former = self.export("former.pem")?;
        let mut fresh = start("fresh connections, former CA", true, &former)?;
        let mut kept = start("kept connection, former CA", false, &former)?;
        warm(&mut [&mut fresh, &mut kept])?;

        let mut replaced = Replaced::default();
        for _ in 0..rounds {
            let (result, took) = self.rotate(&[])?;
            replaced.commands.push(took);
            replaced.served.push(served_after(&result)?);
        }
        warm(&mut [&mut fresh, &mut kept])?;
        let leaf = [fresh.tally(), kept.tally()];

        let wait = format!("{}s", WAIT.as_secs());
        let (status, switched) = self.rotate(&["--ca", "--spread", &wait, "--soak", &wait])?;
        ensure!(
            status["phase"] == "soak",
            "the replacement of the CA stopped behind {}",
            status["phase"]
        );
        let both = self.export("bundle.pem")?;
        let mut with_bundle = start("fresh connections, both CAs", true, &both)?;
        warm(&mut [&mut fresh, &mut kept, &mut with_bundle])?;
        // From here on the former CA alone is not enough, which is what the phase is for.
        let switch = fresh.stop();
        let (_, retired) = self.rotate(&["--ca", "--step", "retire"])?;
        warm(&mut [&mut kept, &mut with_bundle])?;
        let authority = [switch, kept.stop(), with_bundle.stop()];

        println!(
            "{:<42} {:>10} {:>10} {:>10}",
            "replacement under load", "p50", "max", "limit"
        );
        for (title, times, limit) in [
            (
                "certificate: from the write to every way in",
                &replaced.served,
                milliseconds(SERVED_MAX),
            ),
            (
                "certificate: the whole command",
                &replaced.commands,
                "-".to_owned(),
            ),
            (
                &*format!("CA: prepare, spread {wait}, switch, soak {wait}"),
                &vec![switched],
                "-".to_owned(),
            ),
            ("CA: retire", &vec![retired], "-".to_owned()),
        ] {
            let worst = times.iter().max().copied().unwrap_or_default();
            println!(
                "{title:<42} {:>10} {:>10} {limit:>10}",
                milliseconds(median(times)),
                milliseconds(worst)
            );
        }
        println!(
            "\n{:<42} {:>10} {:>10}   first error",
            "client", "requests", "failed"
        );
        println!("{rounds} replacements of the certificate");
        for tally in leaf {
            println!("{}", tally.row());
        }
        println!("replacement of the CA");
        for tally in authority {
            println!("{}", tally.row());
        }
        Ok(())
    }

    /// Runs `silica rotate-certs` and returns what it said and how long it took. Again while
    /// the controller is at work.
    fn rotate(&self, arguments: &[&str]) -> Result<(Value, Duration)> {
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
    fn export(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, self.silica(&["certs", "export"])?)
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }
}

/// Waits until each client has asked anew, so that the last change has been met.
fn warm(clients: &mut [&mut Client]) -> Result<()> {
    for client in clients {
        client.wait_for_more(PATIENCE)?;
    }
    Ok(())
}

fn served_after(result: &Value) -> Result<Duration> {
    let milliseconds = result["servedAfterMilliseconds"]
        .as_u64()
        .context("silica rotate-certs does not tell after how long the certificate was served")?;
    Ok(Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_time_until_it_is_served_is_read() {
        let result = json!({"servedAfterMilliseconds": 42});
        assert_eq!(served_after(&result).unwrap(), Duration::from_millis(42));
        assert!(served_after(&json!({"phase": null})).is_err());
    }
}
