//! Removes every trace of a cluster, whatever state it is in.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::layout::Layout;
use crate::record::Record;
use crate::{cgroup, network};

/// Whether a cluster, or what is left of one, is on this machine.
pub(crate) fn is_needed(layout: &Layout) -> Result<bool> {
    Ok(layout.state.exists() || layout.run.exists() || network::exists() || cgroup::exists()?)
}

/// Kills all processes and removes cgroups, network, mounts and state. The caches stay.
pub(crate) fn remove_all(layout: &Layout) -> Result<()> {
    let record = Record::read(&layout.record()).unwrap_or_default();
    for process in record.processes.iter().filter(|process| process.is_alive()) {
        // It may have ended since; the cgroup below catches whoever is left.
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
    }
    cgroup::destroy()?;
    network::destroy()?;
    unmount_below(&layout.state)?;
    for path in &record.created {
        remove_created(path);
    }
    for directory in [&layout.state, &layout.run] {
        ignore_missing(fs::remove_dir_all(directory))
            .with_context(|| format!("failed to remove {}", directory.display()))?;
    }
    ignore_missing(fs::remove_file(&layout.kubeconfig))
        .with_context(|| format!("failed to remove {}", layout.kubeconfig.display()))
}

/// Removes an empty directory or file that `up` had to create. What somebody else has put
/// something into since stays.
fn remove_created(path: &Path) {
    if path == Path::new(network::NAMESPACES) {
        // `ip netns add` mounts the directory on itself.
        let empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        while empty && nix::mount::umount(path).is_ok() {}
    }
    if path.is_dir() {
        let _ = fs::remove_dir(path);
    } else {
        let _ = fs::remove_file(path);
    }
}

/// The node's mounts end with its mount namespace; this catches what somebody mounted by hand.
fn unmount_below(directory: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("failed to read /proc/self/mounts")?;
    let points = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(Path::new);
    for point in points
        .filter(|point| point.starts_with(directory))
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        nix::mount::umount(point).with_context(|| format!("failed to unmount {}", point.display()))?;
    }
    Ok(())
}

fn ignore_missing(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
