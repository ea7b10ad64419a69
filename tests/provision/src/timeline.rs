//! The timeline of one command: which part ran when, over all its processes.
//!
//! The first process names a file in [`VARIABLE`]; every process adds a line for each part that has
//! ended, and the first prints the table.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::progress;

/// Names the file to the processes of one command.
pub const VARIABLE: &str = "SILICA_TIMELINE";

/// Shorter parts are left out of the table.
const SHORTEST: Duration = Duration::from_secs(5);
/// Columns of the bars.
const WIDTH: u64 = 40;

/// A part of the work, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    began: u64,
    ended: u64,
    name: String,
}

/// The timeline that this process has begun.
#[derive(Clone)]
pub struct Timeline {
    file: PathBuf,
    began: u64,
}

impl Timeline {
    /// Begins with an empty file.
    pub fn begin(file: PathBuf) -> Result<Self> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        }
        fs::write(&file, "").with_context(|| format!("failed to write {}", file.display()))?;
        Ok(Self { file, began: now() })
    }

    /// What to put into the environment of other processes.
    pub fn variable(&self) -> (&'static str, OsString) {
        (VARIABLE, self.file.clone().into())
    }

    /// Adds a part of this process that has ended now.
    pub fn add(&self, name: &str, took: Duration) {
        append(&self.file, name, took);
    }

    /// The table of all parts that took long, in the order they began.
    pub fn table(&self) -> Result<String> {
        let text = fs::read_to_string(&self.file)
            .with_context(|| format!("failed to read {}", self.file.display()))?;
        let mut parts: Vec<Part> = text.lines().filter_map(parse).collect();
        parts.sort_by_key(|part| part.began);
        Ok(draw(self.began, now(), &parts))
    }
}

/// Adds a part that has ended now to the timeline of the command, if there is one. A timeline
/// that can't be written stops no work.
pub fn add(name: &str, took: Duration) {
    if let Some(file) = std::env::var_os(VARIABLE) {
        append(Path::new(&file), name, took);
    }
}

fn append(file: &Path, name: &str, took: Duration) {
    let ended = now();
    let began = ended.saturating_sub(u64::try_from(took.as_millis()).unwrap_or(0));
    // One write for each line: several processes append.
    if let Ok(mut file) = OpenOptions::new().append(true).open(file) {
        let _ = file.write_all(format!("{began}\t{ended}\t{name}\n").as_bytes());
    }
}

fn parse(line: &str) -> Option<Part> {
    let mut fields = line.splitn(3, '\t');
    Some(Part {
        began: fields.next()?.parse().ok()?,
        ended: fields.next()?.parse().ok()?,
        name: fields.next()?.to_owned(),
    })
}

/// One line for each part: its name, when it began and how long it took, and a bar.
fn draw(began: u64, ended: u64, parts: &[Part]) -> String {
    let whole = ended.saturating_sub(began).max(1);
    let column = |at: u64| at.saturating_sub(began).min(whole) * WIDTH / whole;
    let mut table = String::new();
    for part in parts {
        let took = Duration::from_millis(part.ended.saturating_sub(part.began));
        if took < SHORTEST {
            continue;
        }
        let (from, to) = (column(part.began), column(part.ended));
        let bar = "#".repeat(usize::try_from((to - from).max(1)).unwrap_or(1));
        let blank = " ".repeat(usize::try_from(from).unwrap_or(0));
        let start = part.began.saturating_sub(began) / 1000;
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "  {:<48} {:>3}:{:02} {:>12}  {blank}{bar}",
            part.name,
            start / 60,
            start % 60,
            progress::seconds(took)
        );
    }
    table
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(began: u64, ended: u64, name: &str) -> Part {
        Part {
            began,
            ended,
            name: name.to_owned(),
        }
    }

    #[test]
    fn bars_stand_where_their_parts_ran() {
        let parts = [
            part(0, 50_000, "first"),
            part(50_000, 100_000, "second"),
            part(1, 2, "short"),
        ];
        let table = draw(0, 100_000, &parts);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2, "{table}");
        assert!(lines[0].ends_with(&"#".repeat(20)), "{table}");
        assert!(lines[1].contains(" 0:50 "), "{table}");
        assert!(
            lines[1].ends_with(&format!("{}{}", " ".repeat(20), "#".repeat(20))),
            "{table}"
        );
    }

    #[test]
    fn parts_come_back_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let timeline = Timeline::begin(folder.path().join("timeline")).unwrap();
        timeline.add("long\tpart", Duration::from_secs(7));
        let text = fs::read_to_string(&timeline.file).unwrap();
        let found = parse(text.lines().next().unwrap()).unwrap();
        assert_eq!(found.name, "long\tpart");
        assert_eq!(found.ended - found.began, 7_000);
        assert!(parse("garbage").is_none());
    }
}
