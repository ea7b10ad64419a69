//! Reports changes below a directory, with inotify(7).

mod mount;
mod registry;
mod translate;
mod watcher;

pub use registry::Watchers;
pub use watcher::{Options, Watcher};
