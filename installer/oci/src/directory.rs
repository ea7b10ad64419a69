//! Reads a directory tree for a layer and compares two trees.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Error;
use crate::tarball::{Body, Ownership, Tarball};

/// What a layer does at one path.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The path is there, with this metadata.
    Present(Metadata),
    /// The path of an underlying layer is hidden.
    Removed,
}

/// Every file, directory and symbolic link below `root`, by its path relative to it.
pub(crate) fn read_tree(root: &Path) -> Result<BTreeMap<String, Change>, Error> {
    let mut tree = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        let failed = |source| Error::ReadTree {
            path: directory.clone(),
            source,
        };
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let metadata = fs::symlink_metadata(&path).map_err(|source| Error::ReadTree {
                path: path.clone(),
                source,
            })?;
            let kind = metadata.file_type();
            if !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
                continue;
            }
            let relative = path.strip_prefix(root).ok().and_then(Path::to_str);
            let Some(relative) = relative.map(str::to_owned) else {
                return Err(Error::NameNotUtf8 { path });
            };
            if kind.is_dir() {
                pending.push(path);
            }
            tree.insert(relative, Change::Present(metadata));
        }
    }
    Ok(tree)
}

/// What a layer on top of `base` has to hold so that the result is `tree`.
pub(crate) fn changes(
    base: &BTreeMap<String, Change>,
    tree: BTreeMap<String, Change>,
) -> BTreeMap<String, Change> {
    let mut changes = BTreeMap::new();
    for path in base.keys().filter(|path| !tree.contains_key(*path)) {
        // A whiteout hides everything below it: only the topmost removed path gets one.
        let parent_removed = path
            .rsplit_once('/')
            .is_some_and(|(parent, _)| !tree.contains_key(parent));
        if !parent_removed {
            changes.insert(path.clone(), Change::Removed);
        }
    }
    for (path, change) in tree {
        let unchanged = match (&change, base.get(&path)) {
            (Change::Present(now), Some(Change::Present(before))) => is_unchanged(before, now),
            _ => false,
        };
        if !unchanged {
            changes.insert(path, change);
        }
    }
    changes
}

fn is_unchanged(before: &Metadata, now: &Metadata) -> bool {
    let owner = |m: &Metadata| (m.mode(), m.uid(), m.gid());
    // The time of a directory changes with its entries, which are compared themselves.
    let content = |m: &Metadata| (m.len(), m.mtime(), m.mtime_nsec());
    owner(before) == owner(now) && (now.is_dir() || content(before) == content(now))
}

/// Writes the changes in path order; the second path to an inode becomes a hard link.
pub(crate) fn append_changes<W: Write>(
    tarball: &mut Tarball<W>,
    root: &Path,
    changes: &BTreeMap<String, Change>,
) -> Result<(), Error> {
    let mut linked: HashMap<(u64, u64), &str> = HashMap::new();
    for (relative, change) in changes {
        let Change::Present(metadata) = change else {
            let owner = Ownership {
                mode: 0o644,
                uid: 0,
                gid: 0,
            };
            let whiteout = Body::File {
                size: 0,
                content: &mut std::io::empty(),
            };
            tarball.append(&whiteout_path(relative), owner, whiteout)?;
            continue;
        };
        let path = root.join(relative);
        let failed = |source| Error::ReadTree {
            path: path.clone(),
            source,
        };
        let owner = Ownership {
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
        };
        if metadata.is_dir() {
            tarball.append(relative, owner, Body::Directory)?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(failed)?;
            let target = target
                .to_str()
                .ok_or_else(|| Error::NameNotUtf8 { path: target.clone() })?;
            tarball.append(relative, owner, Body::Symlink(target))?;
        } else if let Some(first) = linked.get(&(metadata.dev(), metadata.ino())) {
            tarball.append(relative, owner, Body::HardLink(first))?;
        } else {
            if metadata.nlink() > 1 {
                linked.insert((metadata.dev(), metadata.ino()), relative);
            }
            let mut file = File::open(&path).map_err(failed)?;
            tarball.append(
                relative,
                owner,
                Body::File {
                    size: metadata.len(),
                    content: &mut file,
                },
            )?;
        }
    }
    Ok(())
}

/// `a/b` is hidden by an empty file `a/.wh.b`.
fn whiteout_path(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((parent, name)) => format!("{parent}/.wh.{name}"),
        None => format!(".wh.{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteout_stands_next_to_what_it_hides() {
        assert_eq!(whiteout_path("a/b/c"), "a/b/.wh.c");
        assert_eq!(whiteout_path("a"), ".wh.a");
    }
}
