//! Meaning of inotify's flags to clients.

use nix::sys::inotify::AddWatchFlags;

use crate::proto::filesystem::EventType;

/// Changes that are watched.
pub(super) fn watched_flags() -> AddWatchFlags {
    AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR
}

/// The event that flags stand for; a move is a rename of the old name and the creation of the new one.
pub(super) fn event_type(flags: AddWatchFlags) -> Option<EventType> {
    if flags.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO) {
        Some(EventType::EVENT_TYPE_CREATE)
    } else if flags.intersects(AddWatchFlags::IN_DELETE | AddWatchFlags::IN_DELETE_SELF) {
        Some(EventType::EVENT_TYPE_REMOVE)
    } else if flags.intersects(AddWatchFlags::IN_MOVED_FROM | AddWatchFlags::IN_MOVE_SELF) {
        Some(EventType::EVENT_TYPE_RENAME)
    } else if flags.contains(AddWatchFlags::IN_MODIFY) {
        Some(EventType::EVENT_TYPE_WRITE)
    } else if flags.contains(AddWatchFlags::IN_ATTRIB) {
        Some(EventType::EVENT_TYPE_CHMOD)
    } else {
        None
    }
}

/// Whether an event of this type can carry a description of the file.
pub(super) fn has_entry(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::EVENT_TYPE_CREATE | EventType::EVENT_TYPE_WRITE | EventType::EVENT_TYPE_CHMOD
    )
}
