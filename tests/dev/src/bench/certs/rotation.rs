//! Replacement of the certificate and of the CA of the local installation, while clients with
//! the HTTP stack of the newest SDK never stop asking.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use silica_cluster::{Cluster, Status, layout::LOCAL_DOMAIN};

use crate::bench::{median, milliseconds};
use crate::load::{Client, Tally};
use crate::rotator::{Rotator, warm};
use crate::test::bare::is_bare;
use crate::{python, workspace};

/// Times that the certificate is replaced, at most.
const ROUNDS_MAX: usize = 10;
/// Spread and soak, which real clients need longer: here they are restarted by nobody.
const WAIT: Duration = Duration::from_secs(2);
/// From the Secret's change to the new certificate at every way in, by the design.
const SERVED_MAX: Duration = Duration::from_secs(1);
/// The client of the installer's tests of the same matter.
const PROGRAM: &str = "installer/tests/rotation/clients/client.py";
/// The HTTP stack of the newest SDK.
const STACK: &str = "pyqwest";
/// The forwarder in front of the direct TLS of the local cluster.
const PORT: &str = "443";

/// Prints two tables. An error when a request has failed.
pub(super) fn run(cluster: &Cluster, silica: &Path, folder: &Path, rounds: usize) -> Result<()> {
    println!();
    ensure!(
        matches!(cluster.status()?, Status::Running(_)) && !is_bare(cluster)?,
        "failed to replace certificates: nothing is installed here (cargo xtask up)"
    );
    let rotator = Rotator::new(cluster, silica, folder)?;
    let requirements = workspace::root().join("tests/sdk/current/requirements.txt");
    let python = python::environment(&cluster.layout().cache, &requirements)?;
    let measured = measure(&rotator, &python, rounds.clamp(1, ROUNDS_MAX));
    // Whatever came of it: clients on this machine are to trust what is served now.
    measured.and(rotator.renew_trust())
}

/// Starts a client: each request on a connection of its own, or all on one.
fn start(python: &Path, title: &str, is_fresh: bool, roots: &Path) -> Result<Client> {
    let mut command = Command::new(python);
    command
        .arg(workspace::root().join(PROGRAM))
        .args([STACK, if is_fresh { "fresh" } else { "kept" }])
        .args([&format!("api.{LOCAL_DOMAIN}"), PORT])
        .env("SSL_CERT_FILE", roots);
    Client::start(title, &mut command)
}

/// How long the replacements of the certificate took.
#[derive(Default)]
struct Replaced {
    commands: Vec<Duration>,
    served: Vec<Duration>,
}

fn measure(rotator: &Rotator<'_>, python: &Path, rounds: usize) -> Result<()> {
    let start = |title, is_fresh, roots: &Path| start(python, title, is_fresh, roots);
    let former = rotator.export("former.pem")?;
    let mut fresh = start("fresh connections, former CA", true, &former)?;
    let mut kept = start("kept connection, former CA", false, &former)?;
    warm(&mut [&mut fresh, &mut kept])?;

    let mut replaced = Replaced::default();
    for _ in 0..rounds {
        let (result, took) = rotator.rotate(&[])?;
        replaced.commands.push(took);
        replaced.served.push(served_after(&result)?);
    }
    warm(&mut [&mut fresh, &mut kept])?;
    let leaf = [fresh.tally(), kept.tally()];

    let wait = format!("{}s", WAIT.as_secs());
    let (status, switched) = rotator.rotate(&["--ca", "--spread", &wait, "--soak", &wait])?;
    ensure!(
        status["phase"] == "soak",
        "the replacement of the CA stopped behind {}",
        status["phase"]
    );
    let both = rotator.export("bundle.pem")?;
    let mut with_bundle = start("fresh connections, both CAs", true, &both)?;
    warm(&mut [&mut fresh, &mut kept, &mut with_bundle])?;
    // From here on the former CA alone is not enough, which is what the phase is for.
    let switch = fresh.stop()?;
    let (_, retired) = rotator.rotate(&["--ca", "--step", "retire"])?;
    warm(&mut [&mut kept, &mut with_bundle])?;
    let authority = [switch, kept.stop()?, with_bundle.stop()?];

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
    for tally in &leaf {
        println!("{}", tally.row());
    }
    println!("replacement of the CA");
    for tally in &authority {
        println!("{}", tally.row());
    }
    leaf.iter()
        .chain(&authority)
        .try_for_each(Tally::expect_no_failure)
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
