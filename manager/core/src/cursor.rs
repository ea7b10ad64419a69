//! Pages of a list: filter, order, and a cursor that survives changes of the list.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;

/// Entries per page when the client names no limit, and the highest limit.
pub const MAX_LIMIT: usize = 100;

/// Place in a list ordered by start time and id.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cursor {
    /// Start time of the last entry that was delivered.
    pub started_at: Timestamp,
    /// Its id, which decides between equal times.
    pub id: String,
}

/// Why a cursor is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("nextToken is not a token of this API")]
pub struct Error;

impl Cursor {
    /// The text that clients hand back.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}__{}", self.started_at, self.id))
    }

    /// The inverse of [`Cursor::encode`].
    pub fn decode(text: &str) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Error)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Error)?;
        let (time, id) = text.split_once("__").ok_or(Error)?;
        Ok(Self {
            started_at: time.parse().map_err(|_| Error)?,
            id: id.to_owned(),
        })
    }
}

/// Direction of a list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    #[default]
    Descending,
}

/// Cuts one page out of the entries, in any order given; also says where the
/// next page starts, nothing on the last one.
pub fn page<T>(
    entries: impl Iterator<Item = T>,
    place: impl Fn(&T) -> Cursor,
    order: Order,
    after: Option<&Cursor>,
    limit: usize,
) -> (Vec<T>, Option<Cursor>) {
    let mut rest: Vec<(Cursor, T)> = entries
        .map(|entry| (place(&entry), entry))
        .filter(|(place, _)| match (after, order) {
            (None, _) => true,
            (Some(after), Order::Ascending) => place > after,
            (Some(after), Order::Descending) => place < after,
        })
        .collect();
    rest.sort_by(|(one, _), (other, _)| match order {
        Order::Ascending => one.cmp(other),
        Order::Descending => other.cmp(one),
    });
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| more).map(|(place, _)| place.clone());
    (rest.into_iter().map(|(_, entry)| entry).collect(), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(entry: &(i64, &str)) -> Cursor {
        Cursor {
            started_at: Timestamp::from_second(entry.0).unwrap(),
            id: entry.1.to_owned(),
        }
    }

    #[test]
    fn cursors_come_back_and_garbage_is_refused() {
        let cursor = place(&(7, "default--a__b"));
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        for bad in ["", "%%%", "AAAA", "eF9feQ"] {
            assert_eq!(Cursor::decode(bad), Err(Error), "{bad}");
        }
    }

    #[test]
    fn pages_cover_all_entries_once_newest_first() {
        let entries = [(1, "a"), (3, "c"), (2, "b"), (3, "d"), (5, "e")];
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let (page, next) = page(
                entries.iter().copied(),
                place,
                Order::Descending,
                after.as_ref(),
                2,
            );
            seen.extend(page.into_iter().map(|(_, id)| id));
            let Some(next) = next else { break };
            after = Some(next);
        }
        assert_eq!(seen, ["e", "d", "c", "b", "a"]);
    }

    #[test]
    fn a_cursor_survives_the_removal_of_its_entry() {
        let cursor = place(&(3, "c"));
        let entries = [(1, "a"), (2, "b"), (4, "d")];
        let (page, next) = page(entries.into_iter(), place, Order::Ascending, Some(&cursor), 10);
        assert_eq!((page, next), (vec![(4, "d")], None));
    }

    #[test]
    fn a_full_last_page_has_no_successor() {
        let (page, next) = page([(1, "a"), (2, "b")].into_iter(), place, Order::Ascending, None, 2);
        assert_eq!((page.len(), next), (2, None));
    }
}
