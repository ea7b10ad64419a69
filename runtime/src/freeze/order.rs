//! Decides which processes to stop next, without touching any.

use std::collections::{BTreeMap, HashMap};

use super::table::Process;

/// The wanted processes in groups, parents before their children.
///
/// A parent that stands still sees nothing of its children: a shell does not
/// take the stop of its foreground job for a Ctrl+Z.
pub(super) fn levels(processes: &[Process], wanted: impl Fn(&Process) -> bool) -> Vec<Vec<&Process>> {
    let parents: HashMap<i32, i32> = processes.iter().map(|one| (one.pid, one.parent)).collect();
    let mut levels: BTreeMap<usize, Vec<&Process>> = BTreeMap::new();
    for process in processes.iter().filter(|process| wanted(process)) {
        levels
            .entry(depth(process.pid, &parents))
            .or_default()
            .push(process);
    }
    levels.into_values().collect()
}

/// Distance to the process that has no parent here.
fn depth(pid: i32, parents: &HashMap<i32, i32>) -> usize {
    let mut depth = 0;
    let mut current = pid;
    while let Some(parent) = parents.get(&current) {
        depth += 1;
        current = *parent;
        // The table is no snapshot: reused ids may form a circle.
        if depth > parents.len() {
            break;
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process {
            pid,
            parent,
            state: 'S',
            threads: 1,
            start: 0,
            name: String::new(),
        }
    }

    #[test]
    fn parents_come_first_whatever_their_ids() {
        let table = [
            process(2, 9),
            process(9, 5),
            process(5, 1),
            process(1, 0),
            process(3, 5),
        ];
        let levels: Vec<Vec<i32>> = levels(&table, |process| process.pid != 1)
            .iter()
            .map(|level| level.iter().map(|process| process.pid).collect())
            .collect();
        assert_eq!(levels, [vec![5], vec![9, 3], vec![2]]);
    }

    #[test]
    fn circle_of_reused_ids_ends() {
        let table = [process(2, 3), process(3, 2)];
        assert_eq!(levels(&table, |_| true).concat().len(), 2);
    }
}
