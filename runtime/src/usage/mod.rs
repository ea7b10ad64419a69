//! What the sandbox uses, now and during the last hour.

mod cgroup;
mod disk;
mod history;
mod read;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use silica_runtime_api::{METRICS_STEP_SECONDS, Usage};
use tokio::time::{MissedTickBehavior, interval, sleep};

use disk::DiskUse;
use history::History;
use read::{CpuTime, read_cpu};

/// Time between two samples: rare enough to cost nothing that can be measured.
const STEP: Duration = Duration::from_secs(METRICS_STEP_SECONDS as u64);
/// Shortest time over which CPU usage is measured.
const SHORTEST: Duration = Duration::from_millis(50);

/// Samples of the last hour.
pub struct Recorder {
    state: Mutex<State>,
    disk: DiskUse,
    /// About when the container started, in Unix seconds: the daemon is among its first programs.
    since: i64,
}

#[derive(Default)]
struct State {
    history: History,
    /// CPU time at the last sample.
    cpu: Option<CpuTime>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            disk: DiskUse::default(),
            since: Timestamp::now().as_second(),
        }
    }
}

impl Recorder {
    /// Takes samples forever.
    pub async fn run(&self) {
        let mut ticks = interval(STEP);
        // After a pause of the whole sandbox one sample tells as much as many.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = read_cpu();
            let previous = self.lock().cpu.replace(now);
            // The first tick is where the first sample starts from.
            if let Some(previous) = previous {
                let usage = read::read_usage(previous, now, self.disk.last());
                self.lock().history.push(&usage);
            }
        }
    }

    /// Usage now; that of CPUs since the last sample.
    pub async fn now(&self) -> Usage {
        let last = self.lock().cpu;
        let start = if let Some(cpu) = last.filter(|cpu| cpu.at.elapsed() >= SHORTEST) {
            cpu
        } else {
            let cpu = read_cpu();
            sleep(SHORTEST).await;
            cpu
        };
        let disk_used = self.disk.count(self.since).await;
        read::read_usage(start, read_cpu(), disk_used)
    }

    /// The samples, oldest first.
    pub fn history(&self) -> Vec<Usage> {
        self.lock().history.usages()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
