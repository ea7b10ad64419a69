//! What a node can leave on a machine: looked at before a cluster and after it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::layout::Layout;
use silica_provision::command::{command, run};

/// Settings of the kernel that containers and kube-proxy like to change.
const SETTINGS: [&str; 4] = [
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "vm/overcommit_memory",
    "kernel/panic",
];
/// Where kubelet, container runtimes and network plugins put things when nobody tells them otherwise.
const DIRECTORIES: [&str; 7] = [
    "/etc/cni",
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/pods",
];

/// Everything of a machine that a cluster could have changed, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// Looks at processes, mounts, network, packet filter, cgroups, kernel settings and directories.
    pub fn take(layout: &Layout) -> Result<Self> {
        let mut lines = BTreeSet::new();
        let mut add = |kind: &str, found: Vec<String>| {
            lines.extend(found.into_iter().map(|line| format!("{kind}: {line}")));
        };
        add("process", processes(layout)?);
        add("mount", lines_of(&read(Path::new("/proc/self/mounts"))?));
        add(
            "network namespace",
            lines_of(&run(&mut command(["ip", "netns"]))?),
        );
        add("link", links(&run(&mut command(["ip", "-oneline", "link"]))?));
        for family in ["-4", "-6"] {
            add("route", lines_of(&run(&mut command(["ip", family, "route"]))?));
        }
        for program in ["iptables-save", "ip6tables-save"] {
            // Without the program there are no rules of ours either.
            if let Ok(rules) = run(&mut command([program])) {
                add("packet filter", rules_of(&rules));
            }
        }
        add("cgroup", cgroups()?);
        for setting in SETTINGS {
            let value = read(&Path::new("/proc/sys").join(setting))?;
            add("setting", vec![format!("{setting} = {}", value.trim())]);
        }
        let present = DIRECTORIES.into_iter().map(PathBuf::from);
        let own = [
            layout.state.clone(),
            layout.run.clone(),
            layout.kubeconfig.clone(),
        ];
        add(
            "path",
            present
                .chain(own)
                .filter(|path| path.exists())
                .map(|path| path.display().to_string())
                .collect(),
        );
        Ok(Self(lines))
    }

    /// What is here and was not there before.
    pub fn since(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

/// Processes that run one of our executables or were given one of our paths.
fn processes(layout: &Layout) -> Result<Vec<String>> {
    let marks = [&layout.state, &layout.run, &layout.cache].map(|path| path.display().to_string());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("failed to list /proc")? {
        let directory = entry.context("failed to list /proc")?.path();
        // A process that ends meanwhile leaves nothing to read.
        let Ok(words) = fs::read(directory.join("cmdline")) else {
            continue;
        };
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        if marks.iter().any(|mark| words.contains(mark.as_str())) {
            found.push(words.trim().to_owned());
        }
    }
    Ok(found)
}

/// Cgroups of the first two levels, in every hierarchy.
fn cgroups() -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut directories = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
    while let Some((directory, depth)) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("failed to list {}", directory.display()))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path().display().to_string());
                if depth == 0 {
                    directories.push((entry.path(), 1));
                }
            }
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Names of links without their numbers, which count on.
fn links(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.split(": ").nth(1))
        .map(str::to_owned)
        .collect()
}

/// Rules without counters and comments, which hold times.
fn rules_of(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(" [").next().unwrap_or_default().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_added_is_a_trace() {
        let traces = |lines: &[&str]| Traces(lines.iter().map(|line| (*line).to_owned()).collect());
        let (before, after) = (
            traces(&["mount: a", "mount: b"]),
            traces(&["mount: b", "mount: c"]),
        );
        assert_eq!(after.since(&before), ["mount: c"]);
    }

    #[test]
    fn numbers_that_count_on_are_no_difference() {
        assert_eq!(
            links("7: silica-host@if2: <UP> mtu 1500\n1: lo: <LOOPBACK>"),
            ["silica-host@if2", "lo"]
        );
        assert_eq!(
            rules_of("# Generated on Mon\n:INPUT ACCEPT [12:345]\nCOMMIT"),
            [":INPUT ACCEPT", "COMMIT"]
        );
    }
}
