//! What was started and created, written down so that a later run finds it again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A process that cannot be mistaken for another one that got its pid later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// The daemon's name.
    pub name: String,
    /// Its process id.
    pub pid: i32,
    /// When it started, in clock ticks since boot (`/proc/<pid>/stat`, field 22).
    pub start_ticks: u64,
}

impl ProcessRecord {
    /// Whether this very process still runs.
    pub fn is_alive(&self) -> bool {
        read_start(self.pid) == Some(self.start_ticks)
    }
}

/// The state of one cluster on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// In the order they were started.
    pub processes: Vec<ProcessRecord>,
    /// Paths of the machine that were not there before and go away again.
    pub created: Vec<PathBuf>,
    /// The start came to its end: the node was Ready, and DNS answered. Daemons of a start that was
    /// killed before may all run.
    #[serde(default)]
    pub is_complete: bool,
}

impl Record {
    /// Reads the record; `None` when there is none or a killed run left half of one.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Replaces the record on disk in one step.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("failed to render the record")?;
        let unfinished = path.with_extension("tmp");
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, path))
            .with_context(|| format!("failed to write {}", path.display()))
    }
}

/// The start time of a running process; `None` when it has ended.
pub(crate) fn read_start(pid: i32) -> Option<u64> {
    parse_start(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of `proc_pid_stat(5)`; `None` for a zombie, which has ended.
fn parse_start(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    if matches!(fields.next(), None | Some("Z" | "X")) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_found_behind_an_odd_program_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(parse_start(stat), Some(4711));
        assert_eq!(parse_start(&stat.replace(") S", ") Z")), None);
    }

    #[test]
    fn recycled_pid_is_another_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let this = ProcessRecord {
            name: "test".into(),
            pid,
            start_ticks: read_start(pid).unwrap(),
        };
        assert!(this.is_alive());
        assert!(
            !ProcessRecord {
                start_ticks: this.start_ticks - 1,
                ..this
            }
            .is_alive()
        );
    }

    #[test]
    fn half_written_record_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        Record::default().write(&path).unwrap();
        assert_eq!(Record::read(&path), Some(Record::default()));
        fs::write(&path, "{\"proc").unwrap();
        assert_eq!(Record::read(&path), None);
    }
}
