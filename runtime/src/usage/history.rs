//! Samples of the last hour in little memory.

use std::collections::VecDeque;

use silica_runtime_api::{METRICS_STEP_SECONDS, Usage};

/// One hour.
const CAPACITY: usize = 3600 / METRICS_STEP_SECONDS as usize;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// Unit in which disk space is kept: 32 bits of it are 256 TiB.
const BLOCK: u64 = 64 * KIB;

/// The newest samples, oldest first.
#[derive(Default)]
pub(super) struct History(VecDeque<Sample>);

/// A [`Usage`] in 32 bytes.
#[derive(Clone, Copy)]
struct Sample {
    /// Unix seconds.
    ts: u32,
    cpu_count: u16,
    cpu_limited: bool,
    mem_limited: bool,
    cpu_used_pct: f32,
    mem_total_kib: u32,
    mem_used_kib: u32,
    mem_cache_kib: u32,
    disk_used_blocks: u32,
    disk_total_blocks: u32,
}

impl History {
    /// Adds a sample; the oldest one goes when the hour is full.
    pub(super) fn push(&mut self, usage: &Usage) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(Sample::pack(usage));
    }

    pub(super) fn usages(&self) -> Vec<Usage> {
        self.0.iter().map(Sample::unpack).collect()
    }
}

impl Sample {
    fn pack(usage: &Usage) -> Self {
        let units = |bytes: u64, unit: u64| u32::try_from(bytes / unit).unwrap_or(u32::MAX);
        Self {
            ts: u32::try_from(usage.ts).unwrap_or_default(),
            cpu_count: u16::try_from(usage.cpu_count).unwrap_or(u16::MAX),
            cpu_limited: usage.cpu_limited,
            mem_limited: usage.mem_limited,
            #[expect(clippy::cast_possible_truncation, reason = "it has two decimal places")]
            cpu_used_pct: usage.cpu_used_pct as f32,
            mem_total_kib: units(usage.mem_total, KIB),
            mem_used_kib: units(usage.mem_used, KIB),
            mem_cache_kib: units(usage.mem_cache, KIB),
            disk_used_blocks: units(usage.disk_used, BLOCK),
            disk_total_blocks: units(usage.disk_total, BLOCK),
        }
    }

    fn unpack(&self) -> Usage {
        let bytes = |count: u32, unit: u64| u64::from(count) * unit;
        let mem_total = bytes(self.mem_total_kib, KIB);
        let mem_used = bytes(self.mem_used_kib, KIB);
        Usage {
            ts: self.ts.into(),
            cpu_count: self.cpu_count.into(),
            cpu_limited: self.cpu_limited,
            mem_limited: self.mem_limited,
            cpu_used_pct: (f64::from(self.cpu_used_pct) * 100.0).round() / 100.0,
            mem_total,
            mem_used,
            mem_cache: bytes(self.mem_cache_kib, KIB),
            mem_total_mib: mem_total / MIB,
            mem_used_mib: mem_used / MIB,
            disk_used: bytes(self.disk_used_blocks, BLOCK),
            disk_total: bytes(self.disk_total_blocks, BLOCK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(ts: i64) -> Usage {
        Usage {
            ts,
            cpu_count: 2,
            cpu_limited: true,
            mem_limited: false,
            cpu_used_pct: 173.21,
            mem_total: 8 << 30,
            mem_used: 3 * MIB + KIB,
            mem_cache: 5 * KIB,
            mem_total_mib: 8 << 10,
            mem_used_mib: 3,
            disk_used: 7 * BLOCK,
            disk_total: 20 << 40,
        }
    }

    #[test]
    fn samples_come_back_as_they_were() {
        let mut history = History::default();
        history.push(&usage(1_800_000_000));
        assert_eq!(history.usages(), [usage(1_800_000_000)]);
        assert_eq!(size_of::<Sample>(), 32);
    }

    #[test]
    fn an_hour_is_kept() {
        let mut history = History::default();
        for ts in 0..2000 {
            history.push(&usage(ts));
        }
        let usages = history.usages();
        assert_eq!((usages.len(), usages[0].ts, usages[719].ts), (720, 1280, 1999));
    }
}
