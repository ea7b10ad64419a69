//! What a sandbox uses.

use serde::{Deserialize, Serialize};

/// Resource usage at one moment; limits of the sandbox's cgroup are taken into account.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Unix seconds.
    pub ts: i64,
    /// Whole CPUs that may be used.
    pub cpu_count: u32,
    /// Whether the sandbox's cgroup sets that limit; else it is the node's.
    #[serde(default)]
    pub cpu_limited: bool,
    /// Percent of one CPU, measured over the few seconds before.
    pub cpu_used_pct: f64,
    /// Bytes that may be used.
    pub mem_total: u64,
    /// Whether the sandbox's cgroup sets that limit; else it is the node's.
    #[serde(default)]
    pub mem_limited: bool,
    /// Bytes, without caches.
    pub mem_used: u64,
    /// Bytes of files that are kept in memory.
    #[serde(default)]
    pub mem_cache: u64,
    /// [`Self::mem_total`] in MiB.
    #[serde(default)]
    pub mem_total_mib: u64,
    /// [`Self::mem_used`] in MiB.
    #[serde(default)]
    pub mem_used_mib: u64,
    /// Bytes of the root file system that the sandbox itself has written.
    pub disk_used: u64,
    /// The size of that file system in bytes, which may be the node's.
    pub disk_total: u64,
}
