//! Counters and histograms in the Prometheus text format (version 0.0.4).

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets in milliseconds: a claim takes a few of them.
const BOUNDS_MS: [u32; 14] = [1, 2, 3, 5, 8, 13, 20, 50, 100, 250, 1000, 5000, 20_000, 60_000];

/// Durations by bucket.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn observe(&self, duration: Duration) {
        let index = BOUNDS_MS
            .iter()
            .position(|bound| duration <= Duration::from_millis((*bound).into()))
            .unwrap_or(BOUNDS_MS.len());
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(
            u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    fn render(&self, text: &mut String, name: &str, label: &str) {
        let mut total = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let bound = BOUNDS_MS.get(bucket).map_or_else(
                || "+Inf".to_owned(),
                |bound| (f64::from(*bound) / 1000.0).to_string(),
            );
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}_bucket{{{label},le=\"{bound}\"}} {total}");
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a sum of microseconds fits 53 bits for centuries"
        )]
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(text, "{name}_sum{{{label}}} {sum}");
        let _ = writeln!(text, "{name}_count{{{label}}} {total}");
    }
}

/// A number that only grows, or goes up and down.
#[derive(Default)]
pub(crate) struct Number(AtomicU64);

impl Number {
    /// One more.
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All metrics of the server role.
#[derive(Default)]
pub(crate) struct Metrics {
    /// Waiting for a sandbox of the pool.
    pub(crate) claim_wait: Histogram,
    /// The write that claims it.
    pub(crate) claim_write: Histogram,
    /// Initialising the in-sandbox daemon.
    pub(crate) claim_init: Histogram,
    /// Whole create calls that succeeded.
    pub(crate) claim_total: Histogram,
    /// Kill calls.
    pub(crate) kill: Histogram,
    /// Claims that met another replica's.
    pub(crate) claim_conflicts: Number,
    /// Claims that failed after the write.
    pub(crate) claim_failures: Number,
    /// Create calls that found no sandbox in time.
    pub(crate) no_stock: Number,
    /// Requests to the API.
    pub(crate) api_requests: Number,
    /// Requests to sandboxes.
    pub(crate) proxy_requests: Number,
    /// Certificates taken over from the Secret.
    pub(crate) certificates: Number,
}

/// Sizes that are read when asked for.
pub(crate) struct Gauges {
    /// Sandboxes in the view.
    pub(crate) sandboxes: usize,
    /// Of them, those that can be claimed.
    pub(crate) available: usize,
}

impl Metrics {
    /// The page.
    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let mut text = String::with_capacity(8192);
        let stages = "sandbox_claim_stage_seconds";
        let _ = writeln!(
            text,
            "# HELP {stages} Time of a create call by stage.\n# TYPE {stages} histogram"
        );
        for (stage, histogram) in [
            ("wait", &self.claim_wait),
            ("write", &self.claim_write),
            ("init", &self.claim_init),
            ("total", &self.claim_total),
        ] {
            histogram.render(&mut text, stages, &format!("stage=\"{stage}\""));
        }
        let kill = "sandbox_kill_seconds";
        let _ = writeln!(
            text,
            "# HELP {kill} Time of a kill call.\n# TYPE {kill} histogram"
        );
        self.kill.render(&mut text, kill, "via=\"api\"");
        for (name, help, number) in [
            (
                "sandbox_claim_conflicts_total",
                "Claims that met another replica's.",
                &self.claim_conflicts,
            ),
            (
                "sandbox_claim_failures_total",
                "Claims that failed after the write.",
                &self.claim_failures,
            ),
            (
                "sandbox_claim_no_stock_total",
                "Create calls that found no sandbox in time.",
                &self.no_stock,
            ),
            (
                "sandbox_api_requests_total",
                "Requests to the API.",
                &self.api_requests,
            ),
            (
                "sandbox_proxy_requests_total",
                "Requests to sandboxes.",
                &self.proxy_requests,
            ),
            (
                "sandbox_certificates_loaded_total",
                "Certificates taken over.",
                &self.certificates,
            ),
        ] {
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}",
                number.get()
            );
        }
        for (name, help, value) in [
            (
                "sandbox_known",
                "Sandboxes in the server's view.",
                gauges.sandboxes,
            ),
            (
                "sandbox_available",
                "Sandboxes that can be claimed now.",
                gauges.available,
            ),
        ] {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_start_at_one_millisecond() {
        let metrics = Metrics::default();
        metrics.claim_write.observe(Duration::from_micros(900));
        metrics.claim_write.observe(Duration::from_millis(4));
        metrics.claim_write.observe(Duration::from_secs(100));
        let text = metrics.render(&Gauges {
            sandboxes: 3,
            available: 1,
        });
        for line in [
            "sandbox_claim_stage_seconds_bucket{stage=\"write\",le=\"0.001\"} 1",
            "sandbox_claim_stage_seconds_bucket{stage=\"write\",le=\"0.005\"} 2",
            "sandbox_claim_stage_seconds_bucket{stage=\"write\",le=\"60\"} 2",
            "sandbox_claim_stage_seconds_bucket{stage=\"write\",le=\"+Inf\"} 3",
            "sandbox_claim_stage_seconds_count{stage=\"write\"} 3",
            "sandbox_known 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
