//! Starts daemons that outlive this process, inside the node's namespaces and cgroup.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::daemons::Daemon;
use crate::layout::Layout;
use crate::network;
use crate::record::{ProcessRecord, read_start};
use silica_provision::command::command;
use silica_provision::packages::PATH;

/// Which namespaces a daemon runs in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Those of the caller.
    Host,
    /// The node's network; the mount namespace of this process.
    Node { holder: &'a ProcessRecord },
}

/// Starts the daemon in its own session with its own log, in the cluster's cgroup.
pub(crate) fn start(
    layout: &Layout,
    cgroups: &[PathBuf],
    daemon: &Daemon,
    place: Place<'_>,
) -> Result<ProcessRecord> {
    let log = layout.log(daemon.name);
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
    }
    let open = || OpenOptions::new().create(true).append(true).open(&log);
    let failed = || format!("failed to open {}", log.display());
    let (out, err) = (open().with_context(failed)?, open().with_context(failed)?);

    // setsid, sh and nsenter replace themselves: the pid stays the same all the way.
    let mut launch = command(["setsid", "sh", "-c", &prepare(cgroups, daemon.niceness), "launch"]);
    if let Place::Node { holder } = place {
        launch
            .arg("nsenter")
            .arg(format!("--mount=/proc/{}/ns/mnt", holder.pid))
            .arg(format!("--net={}", network::namespace().display()));
    }
    // The caller's environment could carry proxy settings, which Go programs obey.
    launch
        .args(&daemon.words)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root");
    let child = launch
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .with_context(|| format!("failed to start {}", daemon.name))?;
    let pid = i32::try_from(child.id()).with_context(|| format!("failed to record {}", daemon.name))?;
    let start_ticks =
        read_start(pid).with_context(|| format!("failed to start {}: it ended at once", daemon.name))?;
    Ok(ProcessRecord {
        name: daemon.name.to_owned(),
        pid,
        start_ticks,
    })
}

/// A script that moves itself into the cgroups, takes its priority where the machine allows it, and
/// becomes the command in its arguments.
fn prepare(cgroups: &[PathBuf], niceness: i8) -> String {
    let moves: Vec<String> = cgroups
        .iter()
        .map(|group| format!("echo $$ >'{}/cgroup.procs'", group.display()))
        .collect();
    format!(
        "{} && {{ renice -n {niceness} -p $$ >/dev/null 2>&1 || :; }} && exec \"$@\"",
        moves.join(" && ")
    )
}

/// The last lines of a daemon's log, for error messages.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
