//! Identity of this process, and whether another one on this machine still runs.
//!
//! A process id alone is reused; with the boot, the namespace of process ids and
//! the start time it names one process forever.

use std::{fs, path::Path};

/// Where Linux tells about processes.
const PROC: &str = "/proc";
/// Position of the start time in `/proc/PID/stat` behind the command's name, proc(5) field 22.
const START_TIME: usize = 19;

/// One process of one boot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    boot: String,
    namespace: String,
    id: u32,
    start: String,
}

impl Process {
    /// This process. `None` where the system does not tell.
    pub fn current() -> Option<Self> {
        let id = std::process::id();
        Some(Self {
            boot: fs::read_to_string(format!("{PROC}/sys/kernel/random/boot_id"))
                .ok()?
                .trim()
                .to_owned(),
            namespace: fs::read_link(format!("{PROC}/self/ns/pid"))
                .ok()?
                .to_string_lossy()
                .into_owned(),
            id,
            start: start_time(id)?,
        })
    }

    /// One line, for [`Process::parse`].
    pub fn render(&self) -> String {
        format!("{} {} {} {}", self.boot, self.namespace, self.id, self.start)
    }

    /// Reads what [`Process::render`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').map(str::to_owned);
        let process = Self {
            boot: words.next()?,
            namespace: words.next()?,
            id: words.next()?.parse().ok()?,
            start: words.next()?,
        };
        words.next().is_none().then_some(process)
    }

    /// Whether the process ran on this machine, visible from here, and has ended.
    /// Of any other process nothing is known.
    pub fn has_ended(&self) -> bool {
        let Some(here) = Self::current() else {
            return false;
        };
        self.boot == here.boot
            && self.namespace == here.namespace
            && start_time(self.id).as_ref() != Some(&self.start)
    }
}

fn start_time(id: u32) -> Option<String> {
    let stat = fs::read_to_string(Path::new(PROC).join(id.to_string()).join("stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses itself.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie holds nothing any more.
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(START_TIME - 1).map(str::to_owned))?
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_reads_back_and_runs() {
        let here = Process::current().unwrap();
        assert_eq!(Process::parse(&here.render()), Some(here.clone()));
        assert!(!here.has_ended());
    }

    #[test]
    fn a_reused_process_id_is_another_process() {
        let former = Process {
            start: "1".into(),
            ..Process::current().unwrap()
        };
        assert!(former.has_ended());
    }

    #[test]
    fn of_another_machine_nothing_is_known() {
        let elsewhere = Process {
            boot: "another".into(),
            start: "1".into(),
            ..Process::current().unwrap()
        };
        assert!(!elsewhere.has_ended());
    }
}
