//! Reads what the kernel counts, that of the sandbox's cgroup where there is one.

use std::fs;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use silica_runtime_api::Usage;

const CGROUP: &str = "/sys/fs/cgroup";
const MIB: u64 = 1024 * 1024;

/// CPU time used until a moment.
#[derive(Clone, Copy)]
pub(super) struct CpuTime {
    pub at: Instant,
    pub used: Duration,
}

/// Usage at the end of a span of CPU time.
pub(super) fn read_usage(start: CpuTime, end: CpuTime) -> Usage {
    let memory = read_memory();
    let (disk_total, disk_used) = read_disk();
    Usage {
        ts: Timestamp::now().as_second(),
        cpu_count: read_cpu_count(),
        cpu_used_pct: percent(start, end),
        mem_total: memory.total,
        mem_used: memory.used,
        mem_cache: memory.cache,
        mem_total_mib: memory.total / MIB,
        mem_used_mib: memory.used / MIB,
        disk_used,
        disk_total,
    }
}

/// Percent of one CPU, to two places.
fn percent(start: CpuTime, end: CpuTime) -> f64 {
    let used = end.used.saturating_sub(start.used).as_secs_f64();
    let percent = 100.0 * used / end.at.duration_since(start.at).as_secs_f64().max(f64::EPSILON);
    (percent * 100.0).round() / 100.0
}

pub(super) fn read_cpu() -> CpuTime {
    let used = read_cgroup("cpu.stat")
        .and_then(|text| parse_field(&text, "usage_usec"))
        .map(Duration::from_micros);
    let used = used.or_else(|| parse_host_cpu(&fs::read_to_string("/proc/stat").ok()?));
    CpuTime {
        at: Instant::now(),
        used: used.unwrap_or_default(),
    }
}

fn read_cpu_count() -> u32 {
    let online =
        std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    read_cgroup("cpu.max")
        .and_then(|text| parse_cpu_limit(&text))
        .map_or(online, |limit| limit.min(online))
}

struct Memory {
    total: u64,
    used: u64,
    cache: u64,
}

fn read_memory() -> Memory {
    let host = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name| parse_field(&host, name).unwrap_or_default() * 1024;
    let host_total = kib("MemTotal:");
    let limit = read_cgroup("memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    let current = read_cgroup("memory.current").and_then(|text| text.trim().parse::<u64>().ok());
    if let (Some(limit), Some(current)) = (limit, current) {
        let stat = read_cgroup("memory.stat").unwrap_or_default();
        let cache = parse_field(&stat, "file").unwrap_or_default();
        return Memory {
            total: limit.min(host_total),
            used: current.saturating_sub(cache),
            cache,
        };
    }
    let cache = kib("Cached:");
    Memory {
        total: host_total,
        used: host_total.saturating_sub(kib("MemAvailable:")),
        cache,
    }
}

fn read_disk() -> (u64, u64) {
    let Ok(stat) = nix::sys::statvfs::statvfs("/") else {
        return (0, 0);
    };
    let total = stat.blocks() * stat.fragment_size();
    (
        total,
        total.saturating_sub(stat.blocks_free() * stat.fragment_size()),
    )
}

fn read_cgroup(name: &str) -> Option<String> {
    fs::read_to_string(format!("{CGROUP}/{name}")).ok()
}

/// Number after a name at the start of a line.
fn parse_field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok())?
    })
}

/// Whole CPUs in the text of `cpu.max` (quota and period), rounded up.
fn parse_cpu_limit(text: &str) -> Option<u32> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    u32::try_from(quota.div_ceil(period.max(1))).ok()
}

/// Busy time in the first line of `/proc/stat`, in ticks of 10 ms: all but idle and waiting.
fn parse_host_cpu(text: &str) -> Option<Duration> {
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
    fn cpu_limit_is_rounded_up_and_may_be_missing() {
        assert_eq!(parse_cpu_limit("150000 100000\n"), Some(2));
        assert_eq!(parse_cpu_limit("max 100000\n"), None);
    }

    #[test]
    fn busy_time_leaves_out_idle_and_waiting() {
        assert_eq!(
            parse_host_cpu("cpu  10 0 5 100 50 1 1 0 0 0\n"),
            Some(Duration::from_millis(170))
        );
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        assert_eq!(parse_field("file_mapped 1\nfile 7\n", "file"), Some(7));
    }
}
