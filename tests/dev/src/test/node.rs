//! The suite `node`: the local cluster itself. A start that is killed at any step, and daemons that
//! are killed, are followed by a clean start; a second start of a running cluster starts nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use silica_cluster::{Cluster, ProcessRecord, Status};
use silica_provision::progress;

use crate::cluster;

/// Moments of a start, from its first process on, at which it is killed: in the preparation, with
/// etcd and the API server on their way, and while the node gets ready.
const MOMENTS: [Duration; 5] = [
    Duration::from_millis(60),
    Duration::from_millis(250),
    Duration::from_millis(700),
    Duration::from_millis(1600),
    Duration::from_secs(3),
];
/// From the start to a node that is Ready, once everything is built.
const READY_MAX: Duration = Duration::from_secs(10);

/// Runs the suite on a machine without a cluster, and leaves one running.
pub(crate) async fn run(cluster: &Cluster) -> Result<String> {
    // What has to be built or installed first takes no part in it.
    cluster::up(cluster).await?;
    cluster.down()?;
    for moment in MOMENTS {
        if !start_and_kill(moment)? {
            // A machine this fast has come to the end before.
            cluster.down()?;
        }
        println!(
            "  killed after {} ms: {}",
            moment.as_millis(),
            describe(&cluster.status()?)
        );
    }
    let began = Instant::now();
    ensure!(
        cluster::up(cluster).await?,
        "a start that was killed counts as a running cluster"
    );
    let after_kills = began.elapsed();

    let daemons = running(cluster)?;
    ensure!(
        !cluster::up(cluster).await?,
        "a second start has started a cluster"
    );
    ensure!(running(cluster)? == daemons, "a second start has started daemons");

    for daemon in &daemons {
        kill(Pid::from_raw(daemon.pid), Signal::SIGKILL)
            .with_context(|| format!("failed to kill {}", daemon.name))?;
    }
    let began = Instant::now();
    ensure!(
        cluster::up(cluster).await?,
        "killed daemons count as a running cluster"
    );
    let after_death = began.elapsed();
    let restarted = running(cluster)?;
    ensure!(
        restarted.iter().all(|daemon| !daemons.contains(daemon)),
        "a killed daemon is still there"
    );
    for (after, took) in [("kills", after_kills), ("the death of all daemons", after_death)] {
        ensure!(
            took < 2 * READY_MAX,
            "a start after {after} took {}",
            progress::seconds(took)
        );
    }
    Ok(format!(
        "Ready {} after {} killed starts, {} after the death of all daemons",
        progress::seconds(after_kills).trim(),
        MOMENTS.len(),
        progress::seconds(after_death).trim()
    ))
}

/// Starts the cluster in another process and kills that; false when it had ended by then.
fn start_and_kill(after: Duration) -> Result<bool> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let mut start = Command::new(program)
        .args(["cluster", "up"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start the cluster")?;
    std::thread::sleep(after);
    start.kill().context("failed to kill the start")?;
    let status = start.wait().context("failed to wait for the start")?;
    ensure!(
        !matches!(status.code(), Some(code) if code != 0),
        "the start failed by itself before it was killed: {status}"
    );
    Ok(!status.success())
}

/// The daemons of a cluster that runs.
fn running(cluster: &Cluster) -> Result<Vec<ProcessRecord>> {
    match cluster.status()? {
        Status::Running(daemons) => Ok(daemons),
        other => bail!("the cluster does not run: {}", describe(&other)),
    }
}

fn describe(status: &Status) -> String {
    match status {
        Status::Absent => "nothing is there".to_owned(),
        Status::Running(daemons) => format!("{} daemons run", daemons.len()),
        Status::Broken { alive, ended } => {
            format!("broken, {} daemons run, {} have ended", alive.len(), ended.len())
        }
    }
}
