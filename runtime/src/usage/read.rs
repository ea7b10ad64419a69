//! Reads what the sandbox uses: what the kernel counts for its cgroup, else for the node.

use std::fs;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use silica_runtime_api::Usage;

use super::cgroup::{Cgroup, Memory, parse_field};

const MIB: u64 = 1024 * 1024;

/// CPU time used until a moment.
#[derive(Clone, Copy)]
pub(super) struct CpuTime {
    pub at: Instant,
    pub used: Duration,
}

/// Usage at the end of a span of CPU time, with the disk space that was counted.
pub(super) fn read_usage(start: CpuTime, end: CpuTime, disk_used: u64) -> Usage {
    let cgroup = Cgroup::default();
    let node = node_memory();
    let memory = cgroup.memory(node.total).unwrap_or(Memory {
        used: node.used,
        cache: node.cache,
        limit: None,
    });
    let total = memory.limit.unwrap_or(node.total);
    let cpus = cgroup.cpu_limit();
    Usage {
        ts: Timestamp::now().as_second(),
        cpu_count: cpus.map_or_else(online_cpus, |limit| limit.min(online_cpus())),
        cpu_limited: cpus.is_some(),
        cpu_used_pct: percent(start, end),
        mem_total: total,
        mem_limited: memory.limit.is_some(),
        mem_used: memory.used,
        mem_cache: memory.cache,
        mem_total_mib: total / MIB,
        mem_used_mib: memory.used / MIB,
        disk_used,
        disk_total: disk_total(),
    }
}

/// Percent of one CPU, to two places.
fn percent(start: CpuTime, end: CpuTime) -> f64 {
    let used = end.used.saturating_sub(start.used).as_secs_f64();
    let percent = 100.0 * used / end.at.duration_since(start.at).as_secs_f64().max(f64::EPSILON);
    (percent * 100.0).round() / 100.0
}

pub(super) fn read_cpu() -> CpuTime {
    let of_node = || parse_node_cpu(&fs::read_to_string("/proc/stat").ok()?);
    CpuTime {
        at: Instant::now(),
        used: Cgroup::default().cpu_time().or_else(of_node).unwrap_or_default(),
    }
}

fn online_cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}

struct NodeMemory {
    total: u64,
    used: u64,
    cache: u64,
}

fn node_memory() -> NodeMemory {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |name| parse_field(&text, name).unwrap_or_default() * 1024;
    let total = bytes("MemTotal:");
    NodeMemory {
        total,
        used: total.saturating_sub(bytes("MemAvailable:")),
        cache: bytes("Cached:"),
    }
}

fn disk_total() -> u64 {
    nix::sys::statvfs::statvfs("/").map_or(0, |stat| stat.blocks() * stat.fragment_size())
}

/// Busy time in the first line of `/proc/stat`, in ticks of 10 ms: all but idle and waiting.
fn parse_node_cpu(text: &str) -> Option<Duration> {
    let ticks: Vec<u64> = text
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let busy: u64 = ticks
        .iter()
        .take(8)
        .enumerate()
        .filter(|(index, _)| !matches!(index, 3 | 4))
        .map(|(_, n)| n)
        .sum();
    Some(Duration::from_millis(busy * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_leaves_out_idle_and_waiting() {
        assert_eq!(
            parse_node_cpu("cpu  10 0 5 100 50 1 1 0 0 0\n"),
            Some(Duration::from_millis(170))
        );
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        assert_eq!(parse_field("file_mapped 1\nfile 7\n", "file"), Some(7));
    }
}
