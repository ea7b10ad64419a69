//! One watched directory.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use buffa::{EnumValue, MessageField};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::unix::AsyncFd;

use super::mount::is_network_mount;
use super::translate::{event_type, has_entry, watched_flags};
use crate::account::Names;
use crate::filesystem::FsError;
use crate::filesystem::entry::read_entry;
use crate::os::readiness::{Watched, register};
use crate::proto::filesystem::{EventType, FilesystemEvent};

/// How to watch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Include subdirectories, also those that appear later.
    pub recursive: bool,
    /// Describe the file with events that leave it in place.
    pub include_entry: bool,
    /// Accept file systems where changes by others go unseen.
    pub allow_network_mounts: bool,
}

/// Collects the changes of one directory.
pub struct Watcher {
    source: AsyncFd<Watched<Inotify>>,
    root: PathBuf,
    options: Options,
    /// Watched directories, relative to the root; the root itself is empty.
    directories: Mutex<HashMap<WatchDescriptor, PathBuf>>,
}

impl Watcher {
    /// Starts watching; changes from here on are seen.
    pub fn open(root: &Path, options: Options) -> Result<Self, FsError> {
        let metadata = fs::metadata(root).map_err(|source| FsError::from_io("stat", root, source))?;
        if !metadata.is_dir() {
            return Err(FsError::NotDirectory(root.to_owned()));
        }
        if !options.allow_network_mounts && is_network_mount(root) {
            return Err(FsError::NetworkMount(root.to_owned()));
        }
        let failed = |source: std::io::Error| FsError::Io {
            action: "watch",
            path: root.to_owned(),
            source,
        };
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)
            .map_err(|errno| failed(errno.into()))?;
        let watcher = Self {
            source: register(inotify).map_err(failed)?,
            root: root.to_owned(),
            options,
            directories: Mutex::default(),
        };
        watcher
            .add(PathBuf::new())
            .map_err(|errno| failed(errno.into()))?;
        if options.recursive {
            watcher.add_children(Path::new(""), &mut |_| {});
        }
        Ok(watcher)
    }

    /// Waits until there may be changes to read.
    pub async fn wait(&self) -> std::io::Result<()> {
        // Readiness stays until a read finds nothing: no change is missed.
        self.source.readable().await?.retain_ready();
        Ok(())
    }

    /// Changes since the last call, oldest first; waits for the disk alone.
    pub fn read(&self) -> Vec<FilesystemEvent> {
        let mut events = Vec::new();
        loop {
            match self.source.get_ref().read_events() {
                Ok(raw) => raw.iter().for_each(|event| self.translate(event, &mut events)),
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        // Nothing is left: wait for the kernel's next notice.
        if let Some(Ok(mut ready)) = futures::FutureExt::now_or_never(self.source.readable()) {
            ready.clear_ready();
        }
        events
    }

    fn translate(&self, event: &InotifyEvent, events: &mut Vec<FilesystemEvent>) {
        let Some(directory) = self.directory(event.wd) else {
            return;
        };
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.forget(event.wd);
            return;
        }
        let Some(kind) = event_type(event.mask) else {
            return;
        };
        let name = match &event.name {
            Some(name) => directory.join(name),
            // Changes of a subdirectory itself were reported with its parent.
            None if directory.as_os_str().is_empty() => PathBuf::from("."),
            None => return,
        };
        events.push(self.describe(&name, kind));
        let appeared = kind == EventType::EVENT_TYPE_CREATE && event.mask.contains(AddWatchFlags::IN_ISDIR);
        if self.options.recursive && appeared && self.add(name.clone()).is_ok() {
            // What was created before the watch stood is reported now.
            self.add_children(&name, &mut |child| {
                events.push(self.describe(child, EventType::EVENT_TYPE_CREATE));
            });
        }
    }

    fn describe(&self, name: &Path, kind: EventType) -> FilesystemEvent {
        let entry = (self.options.include_entry && has_entry(kind))
            .then(|| read_entry(&self.root.join(name), &Names::read()).ok())
            .flatten();
        FilesystemEvent {
            name: name.to_string_lossy().into_owned(),
            r#type: EnumValue::from(kind),
            entry: entry.map_or_else(MessageField::none, MessageField::some),
            ..Default::default()
        }
    }

    fn add(&self, directory: PathBuf) -> Result<(), Errno> {
        let path = self.root.join(&directory);
        let descriptor = self.source.get_ref().add_watch(&path, watched_flags())?;
        self.lock().insert(descriptor, directory);
        Ok(())
    }

    /// Watches everything below a directory and reports what is there.
    fn add_children(&self, directory: &Path, report: &mut dyn FnMut(&Path)) {
        let Ok(children) = fs::read_dir(self.root.join(directory)) else {
            return;
        };
        for child in children.flatten() {
            let path = directory.join(child.file_name());
            report(&path);
            let is_directory = child.file_type().is_ok_and(|kind| kind.is_dir());
            // A directory that vanished meanwhile needs no watch.
            if is_directory && self.add(path.clone()).is_ok() {
                self.add_children(&path, report);
            }
        }
    }

    fn directory(&self, descriptor: WatchDescriptor) -> Option<PathBuf> {
        self.lock().get(&descriptor).cloned()
    }

    fn forget(&self, descriptor: WatchDescriptor) {
        self.lock().remove(&descriptor);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WatchDescriptor, PathBuf>> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::chown;

    use super::*;

    fn seen(watcher: &Watcher) -> Vec<(String, EventType)> {
        let events = watcher.read().into_iter();
        events
            .filter_map(|event| Some((event.name, event.r#type.as_known()?)))
            .collect()
    }

    #[tokio::test]
    async fn upload_in_place_is_create_chmod_write() {
        let root = tempfile::tempdir().unwrap();
        let watcher = Watcher::open(root.path(), Options::default()).unwrap();
        let mut file = fs::File::create(root.path().join("f")).unwrap();
        chown(root.path().join("f"), Some(nix::unistd::geteuid().as_raw()), None).unwrap();
        file.write_all(b"text").unwrap();
        watcher.wait().await.unwrap();
        let kinds: Vec<_> = seen(&watcher).into_iter().map(|(_, kind)| kind).collect();
        let expected = [
            EventType::EVENT_TYPE_CREATE,
            EventType::EVENT_TYPE_CHMOD,
            EventType::EVENT_TYPE_WRITE,
        ];
        assert_eq!(kinds, expected);
    }

    #[tokio::test]
    async fn rename_is_reported_for_the_old_and_creation_for_the_new_name() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("old"), "").unwrap();
        let watcher = Watcher::open(root.path(), Options::default()).unwrap();
        fs::rename(root.path().join("old"), root.path().join("new")).unwrap();
        fs::remove_file(root.path().join("new")).unwrap();
        let expected = [
            ("old".to_owned(), EventType::EVENT_TYPE_RENAME),
            ("new".to_owned(), EventType::EVENT_TYPE_CREATE),
            ("new".to_owned(), EventType::EVENT_TYPE_REMOVE),
        ];
        assert_eq!(seen(&watcher), expected);
        assert!(seen(&watcher).is_empty());
    }

    #[tokio::test]
    async fn new_subdirectories_are_watched_when_recursive() {
        let root = tempfile::tempdir().unwrap();
        let options = Options {
            recursive: true,
            include_entry: true,
            ..Options::default()
        };
        let watcher = Watcher::open(root.path(), options).unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        let names: Vec<_> = seen(&watcher).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "a/b"]);
        fs::write(root.path().join("a/b/f"), "x").unwrap();
        let events = watcher.read();
        assert_eq!(events[0].name, "a/b/f");
        assert_eq!(
            events[0].entry.as_option().map(|entry| entry.name.as_str()),
            Some("f")
        );
    }

    #[tokio::test]
    async fn only_existing_directories_can_be_watched() {
        let root = tempfile::tempdir().unwrap();
        let open = |path: &Path| Watcher::open(path, Options::default());
        assert!(matches!(
            open(&root.path().join("missing")),
            Err(FsError::NotFound(_))
        ));
        fs::write(root.path().join("file"), "").unwrap();
        assert!(matches!(
            open(&root.path().join("file")),
            Err(FsError::NotDirectory(_))
        ));
    }
}
