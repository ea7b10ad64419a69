//! The cluster's cgroup: one subtree per hierarchy that holds every process of the cluster.
//!
//! Daemons start in `/silica/daemons` and containerd's shims stay there with them; kubelet
//! puts pods below `/silica/kubepods`. What is in the subtree is ours, nothing else is: the
//! teardown needs no guessing. Works with cgroup v1, v2 and the hybrid of both.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::layout::CGROUP;

/// How long killed processes may take to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(15);

/// Creates the subtree in every hierarchy and returns the daemons' directories.
pub(crate) fn create() -> Result<Vec<PathBuf>> {
    let mut daemons = Vec::new();
    for hierarchy in observe_hierarchies()? {
        let top = hierarchy.join(CGROUP);
        let leaf = top.join("daemons");
        fs::create_dir_all(&leaf).with_context(|| format!("failed to create cgroup {}", leaf.display()))?;
        for directory in [&top, &leaf] {
            inherit_cpuset(directory)
                .with_context(|| format!("failed to set up cgroup {}", directory.display()))?;
        }
        daemons.push(leaf);
    }
    ensure!(
        !daemons.is_empty(),
        "failed to find a cgroup hierarchy in /proc/self/mounts"
    );
    Ok(daemons)
}

/// A new cgroup of the v1 cpuset controller takes no process before it has CPUs and memory nodes.
fn inherit_cpuset(directory: &Path) -> io::Result<()> {
    let Some(parent) = directory.parent() else {
        return Ok(());
    };
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let file = directory.join(name);
        // On v2 the file is empty by default, which means "as the parent".
        if file.exists() && !directory.join("cgroup.controllers").exists() {
            fs::write(file, fs::read_to_string(parent.join(name))?.trim())?;
        }
    }
    Ok(())
}

/// Whether anything of a cluster is left in the cgroups.
pub(crate) fn exists() -> Result<bool> {
    Ok(observe_hierarchies()?
        .iter()
        .any(|hierarchy| hierarchy.join(CGROUP).exists()))
}

/// Kills every process of the subtree and removes it.
pub(crate) fn destroy() -> Result<()> {
    let tops: Vec<PathBuf> = observe_hierarchies()?
        .iter()
        .map(|hierarchy| hierarchy.join(CGROUP))
        .collect();
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        let groups: Vec<PathBuf> = tops.iter().flat_map(|top| subtree(top)).collect();
        if groups.is_empty() {
            return Ok(());
        }
        let mut left = 0;
        for group in &groups {
            // A paused container dies only after it is thawed.
            for (file, value) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
                if group.join(file).exists() {
                    // The group may be gone by now, which is what we want.
                    let _ = fs::write(group.join(file), value);
                }
            }
            for pid in processes(group) {
                left += 1;
                // It may have ended by itself since it was listed.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if left == 0 {
            // The deepest come first; a group that was just emptied may be busy for a moment.
            for group in &groups {
                let _ = fs::remove_dir(group);
            }
        }
        if Instant::now() > deadline {
            bail!("failed to remove cgroup {CGROUP}: {left} processes did not end within {KILL_TIMEOUT:?}");
        }
        // The kernel offers no way to wait for processes that are not our children.
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Pids in one cgroup; none when it is gone.
fn processes(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process of another pid namespace.
    text.lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid > 1)
        .collect()
}

/// `top` and everything below it, the deepest first; empty when it does not exist.
fn subtree(top: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(top) else {
        return Vec::new();
    };
    let directories = entries
        .filter_map(Result::ok)
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    let mut groups: Vec<PathBuf> = directories.flat_map(|entry| subtree(&entry.path())).collect();
    groups.push(top.to_owned());
    groups
}

fn observe_hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("failed to read /proc/self/mounts")?;
    Ok(hierarchies(&mounts))
}

/// The mount points of cgroup hierarchies, one for each.
fn hierarchies(mounts: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        if let (Some(point), Some("cgroup" | "cgroup2")) = (fields.next(), fields.next()) {
            found.push(PathBuf::from(point));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mounts = "proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ntmpfs /run tmpfs rw 0 0\n";
        let expected = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        assert_eq!(hierarchies(mounts), expected);
    }

    #[test]
    fn deepest_group_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let expected = [
            dir.path().join("a/b"),
            dir.path().join("a"),
            dir.path().to_owned(),
        ];
        assert_eq!(subtree(dir.path()), expected);
    }
}
