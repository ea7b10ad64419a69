//! What the kernel counts for the cgroup of the sandbox's container, in both versions of the interface.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Where a container sees its own cgroup.
const MOUNT: &str = "/sys/fs/cgroup";

/// The files of one cgroup.
pub(super) struct Cgroup {
    root: PathBuf,
}

/// Memory of a cgroup in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// Without caches.
    pub used: u64,
    pub cache: u64,
    /// `None` when only the node limits it.
    pub limit: Option<u64>,
}

impl Default for Cgroup {
    fn default() -> Self {
        Self { root: MOUNT.into() }
    }
}

impl Cgroup {
    /// CPU time that was used so far.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        let unified = || parse_field(&self.read("cpu.stat")?, "usage_usec").map(Duration::from_micros);
        let legacy = || self.number("cpuacct/cpuacct.usage").map(Duration::from_nanos);
        unified().or_else(legacy)
    }

    /// Whole CPUs that may be used, rounded up; `None` when only the node limits them.
    pub(super) fn cpu_limit(&self) -> Option<u32> {
        if let Some(text) = self.read("cpu.max") {
            let (quota, period) = text.trim().split_once(' ')?;
            return whole_cpus(quota.parse().ok()?, period.parse().ok()?);
        }
        // No limit is -1, which is no number here.
        whole_cpus(
            self.number("cpu/cpu.cfs_quota_us")?,
            self.number("cpu/cpu.cfs_period_us")?,
        )
    }

    /// Memory, where the kernel counts it; a limit of the size of the node is none.
    pub(super) fn memory(&self, node: u64) -> Option<Memory> {
        let unified = || {
            let current = self.number("memory.current")?;
            let cache = parse_field(&self.read("memory.stat")?, "file").unwrap_or_default();
            Some((current, cache, self.number("memory.max")))
        };
        let legacy = || {
            let current = self.number("memory/memory.usage_in_bytes")?;
            let cache = parse_field(&self.read("memory/memory.stat")?, "total_cache").unwrap_or_default();
            Some((current, cache, self.number("memory/memory.limit_in_bytes")))
        };
        let (current, cache, limit) = unified().or_else(legacy)?;
        Some(Memory {
            used: current.saturating_sub(cache),
            cache,
            limit: limit.filter(|limit| *limit < node),
        })
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root.join(name)).ok()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.read(name)?.trim().parse().ok()
    }
}

fn whole_cpus(quota: u64, period: u64) -> Option<u32> {
    u32::try_from(quota.div_ceil(period.max(1))).ok()
}

/// Number after a name at the start of a line.
pub(super) fn parse_field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: u64 = 25 << 30;

    /// A cgroup with these files; the directory lives as long as the first value.
    fn cgroup(files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = directory.path().to_owned();
        (directory, Cgroup { root })
    }

    #[test]
    fn both_versions_tell_limits_and_use_of_the_container() {
        let expected = Memory {
            used: 600,
            cache: 400,
            limit: Some(1 << 30),
        };
        let limit = (1_u64 << 30).to_string();
        for files in [
            &[
                ("cpu.stat", "usage_usec 1500000\nuser_usec 1\n"),
                ("cpu.max", "150000 100000\n"),
                ("memory.current", "1000\n"),
                ("memory.max", limit.as_str()),
                ("memory.stat", "file_mapped 1\nfile 400\n"),
            ][..],
            &[
                ("cpuacct/cpuacct.usage", "1500000000\n"),
                ("cpu/cpu.cfs_quota_us", "150000\n"),
                ("cpu/cpu.cfs_period_us", "100000\n"),
                ("memory/memory.usage_in_bytes", "1000\n"),
                ("memory/memory.limit_in_bytes", limit.as_str()),
                ("memory/memory.stat", "cache 7\ntotal_cache 400\n"),
            ][..],
        ] {
            let (_directory, cgroup) = cgroup(files);
            assert_eq!(cgroup.cpu_time(), Some(Duration::from_millis(1500)));
            assert_eq!(cgroup.cpu_limit(), Some(2), "rounded up");
            assert_eq!(cgroup.memory(NODE), Some(expected.clone()));
        }
    }

    #[test]
    fn without_a_limit_the_use_is_still_the_containers_own() {
        for files in [
            &[
                ("cpu.max", "max 100000\n"),
                ("memory.current", "1000\n"),
                ("memory.max", "max\n"),
                ("memory.stat", "file 400\n"),
            ][..],
            &[
                ("cpu/cpu.cfs_quota_us", "-1\n"),
                ("cpu/cpu.cfs_period_us", "100000\n"),
                ("memory/memory.usage_in_bytes", "1000\n"),
                ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory/memory.stat", "total_cache 400\n"),
            ][..],
        ] {
            let (_directory, cgroup) = cgroup(files);
            assert_eq!(cgroup.cpu_limit(), None);
            let memory = cgroup.memory(NODE).unwrap();
            assert_eq!((memory.used, memory.limit), (600, None));
        }
    }

    #[test]
    fn a_kernel_that_counts_nothing_says_nothing() {
        let (_directory, cgroup) = cgroup(&[]);
        assert_eq!(
            (cgroup.cpu_time(), cgroup.cpu_limit(), cgroup.memory(NODE)),
            (None, None, None)
        );
    }
}
