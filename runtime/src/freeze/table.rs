//! The table of processes in `/proc`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// Inode of the PID namespace that the kernel starts with (`PROC_PID_INIT_INO` in `linux/proc_ns.h`).
const FIRST_NAMESPACE: u64 = 0xEFFF_FFFC;

/// One process, as `/proc/PID/stat` shows it (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: i32,
    pub parent: i32,
    /// State of its first thread, for example `R`.
    pub state: char,
    pub threads: u32,
    /// Start in clock ticks since boot; with the id it names a process for good.
    pub start: u64,
    pub name: String,
}

impl Process {
    /// Whether nothing of it runs: stopped, traced or dead.
    pub(super) fn stands_still(&self) -> bool {
        match self.state {
            'T' | 't' | 'X' | 'x' => true,
            // The first thread may have ended before the others.
            'Z' => self.threads <= 1,
            _ => false,
        }
    }
}

/// All processes that can be seen, without threads.
pub(super) fn read() -> io::Result<Vec<Process>> {
    let entries = fs::read_dir("/proc")?;
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // A process may end between the two looks.
    Ok(pids.filter_map(read_one).collect())
}

/// One process, unless it has ended.
pub(super) fn read_one(pid: i32) -> Option<Process> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(&String::from_utf8_lossy(&text))
}

/// Whether the caller lives in a PID namespace of a container, not in that of the machine.
pub(super) fn is_isolated() -> io::Result<bool> {
    Ok(fs::metadata("/proc/self/ns/pid")?.ino() != FIRST_NAMESPACE)
}

/// Whether process 1 runs the same program as the caller.
pub(super) fn is_first_process_ours() -> bool {
    let program = |path| fs::metadata(path).map(|data| (data.dev(), data.ino())).ok();
    let own = program("/proc/self/exe");
    own.is_some() && own == program("/proc/1/exe")
}

/// Decides which processes are of the same container, so that others of a shared PID namespace are left alone.
#[derive(Default)]
pub(super) struct Container {
    own: String,
    known: HashMap<(i32, u64), bool>,
}

impl Container {
    /// The caller's own container.
    pub(super) fn read() -> io::Result<Self> {
        Ok(Self {
            own: fs::read_to_string("/proc/self/cgroup")?,
            known: HashMap::new(),
        })
    }

    /// Whether the process is in the container; looked up once for each.
    pub(super) fn holds(&mut self, process: &Process) -> bool {
        let own = &self.own;
        *self.known.entry((process.pid, process.start)).or_insert_with(|| {
            // One that has ended meanwhile does not matter.
            fs::read_to_string(format!("/proc/{}/cgroup", process.pid))
                .is_ok_and(|other| is_within(own, &other))
        })
    }
}

/// Whether each control group of `other` is the one of `own` in the same hierarchy, or below it (cgroups(7)).
fn is_within(own: &str, other: &str) -> bool {
    own.lines().all(|line| {
        let Some((hierarchy, path)) = split(line) else {
            return true;
        };
        let found = other
            .lines()
            .filter_map(split)
            .find(|(name, _)| *name == hierarchy);
        found.is_some_and(|(_, other)| {
            let path = path.trim_end_matches('/');
            let rest = other.strip_prefix(path);
            // Seen from inside a cgroup namespace, others have a path that leads out of it.
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') && !rest.starts_with("/.."))
        })
    })
}

/// Hierarchy and path of a line such as `4:memory:/a`.
fn split(line: &str) -> Option<(&str, &str)> {
    let path = line.match_indices(':').nth(1)?.0;
    Some((&line[..path], &line[path + 1..]))
}

fn parse(stat: &str) -> Option<Process> {
    // The command name may contain spaces and parentheses itself.
    let (head, fields) = stat.rsplit_once(')')?;
    let (pid, name) = head.split_once('(')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    Some(Process {
        pid: pid.trim().parse().ok()?,
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_read_behind_a_nasty_command_name() {
        let text = "7 (a) b (c) S 1 7 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 9876 0 0";
        let process = parse(text).unwrap();
        assert_eq!((process.pid, process.parent, process.state), (7, 1, 'S'));
        assert_eq!((process.threads, process.start), (3, 9876));
        assert_eq!(process.name, "a) b (c");
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn own_process_is_found() {
        let id = i32::try_from(std::process::id()).unwrap();
        let own = read()
            .unwrap()
            .into_iter()
            .find(|process| process.pid == id)
            .unwrap();
        assert!(!own.stands_still());
        assert!(Container::read().unwrap().holds(&own));
    }

    #[test]
    fn process_whose_first_thread_has_ended_still_runs() {
        let process = |state, threads| Process {
            pid: 2,
            parent: 1,
            state,
            threads,
            start: 0,
            name: String::new(),
        };
        assert!(!process('Z', 2).stands_still());
        assert!(process('Z', 1).stands_still());
        assert!(process('T', 4).stands_still());
        assert!(!process('D', 1).stands_still());
    }

    #[test]
    fn other_containers_of_a_shared_namespace_are_told_apart() {
        let own = "4:memory:/pod/a\n0::/\n";
        assert!(is_within(own, own));
        assert!(is_within(own, "0::/below\n4:memory:/pod/a/b\n"));
        assert!(!is_within(own, "4:memory:/pod/ab\n0::/\n"));
        assert!(!is_within(own, "4:memory:/pod/a\n0::/../b\n"));
        assert!(!is_within(own, "0::/\n"));
        assert!(is_within("0::/", "0::/a"));
    }
}
