//! Disk space that the sandbox itself uses. The kernel counts it for the whole disk of the node only, so
//! the files that were written since the container started are added up: what an image brings is older.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::blocking::blocking;

/// Bytes of one block of a file's metadata, whatever the file system's own are.
const BLOCK: u64 = 512;
/// Age from which on a client's question counts anew.
const FRESH: Duration = Duration::from_secs(30);
/// Longest wait for an answer; the count goes on, and a later question gets it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Counts on demand, never more than once at a time: nothing for sandboxes that nobody asks about.
#[derive(Clone, Default)]
pub(super) struct DiskUse(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    used: u64,
    /// When the newest count began.
    at: Option<Instant>,
}

impl DiskUse {
    /// What the last count found.
    pub(super) fn last(&self) -> u64 {
        self.lock().used
    }

    /// Counts again unless that was done a moment ago; `since` is the start of the container in Unix seconds.
    pub(super) async fn count(&self, since: i64) -> u64 {
        {
            let mut state = self.lock();
            if state.at.is_some_and(|at| at.elapsed() < FRESH) {
                return state.used;
            }
            state.at = Some(Instant::now());
        }
        let this = self.clone();
        let counting = tokio::spawn(async move {
            if let Ok(used) = blocking(move || written(Path::new("/"), &mount_points(), since)).await {
                this.lock().used = used;
            }
        });
        // Whoever is not answered in time gets the count before.
        let _ = tokio::time::timeout(PATIENCE, counting).await;
        self.last()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where other file systems begin. They are not even looked at: one whose server is gone never answers.
fn mount_points() -> HashSet<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .filter(|point| *point != "/")
        .map(|point| point.replace("\\040", " ").into())
        .collect()
}

/// Bytes of the files below `root` that changed since then.
fn written(root: &Path, mounts: &HashSet<PathBuf>, since: i64) -> u64 {
    let mut used = 0;
    let mut linked = HashSet::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if mounts.contains(&path) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                directories.push(path);
            }
            let is_new = metadata.ctime() >= since;
            // A file with several names counts once.
            if is_new && (metadata.is_dir() || metadata.nlink() == 1 || linked.insert(metadata.ino())) {
                used += metadata.blocks() * BLOCK;
            }
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> i64 {
        jiff::Timestamp::now().as_second()
    }

    #[test]
    fn files_count_once_from_the_start_on_and_not_beyond_a_mount() {
        let root = tempfile::tempdir().unwrap();
        let megabyte = vec![7; 1 << 20];
        for name in ["own/a", "mounted/b"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &megabyte).unwrap();
        }
        fs::hard_link(root.path().join("own/a"), root.path().join("own/again")).unwrap();
        let mounts = HashSet::from([root.path().join("mounted")]);
        let used = written(root.path(), &mounts, now() - 60);
        assert!((1 << 20..2 << 20).contains(&used), "{used}");
        assert_eq!(
            written(root.path(), &mounts, now() + 60),
            0,
            "what the image brought"
        );
    }
}
