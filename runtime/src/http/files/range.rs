//! The `Range` header (RFC 9110 section 14.2).

/// What part of a file to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it.
    Whole,
    /// `length` bytes from `start` on.
    Part { start: u64, length: u64 },
    /// Nothing: the range lies behind the end.
    Unsatisfiable,
}

/// Chooses the part of a file of `size` bytes; what is not a single byte range counts as none.
pub(super) fn choose_range(header: Option<&str>, size: u64) -> Selection {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Selection::Whole;
    };
    let Some((first, last)) = spec.split_once('-') else {
        return Selection::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let (start, end) = if first.is_empty() {
        let Ok(suffix) = last.parse::<u64>() else {
            return Selection::Whole;
        };
        (size.saturating_sub(suffix), size)
    } else {
        let Ok(start) = first.parse::<u64>() else {
            return Selection::Whole;
        };
        let end = match last {
            "" => size,
            _ => match last.parse::<u64>() {
                Ok(last) if last >= start => last.saturating_add(1).min(size),
                _ => return Selection::Whole,
            },
        };
        (start, end)
    };
    if start >= end {
        return Selection::Unsatisfiable;
    }
    Selection::Part {
        start,
        length: end - start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_select_parts() {
        let part = |start, length| Selection::Part { start, length };
        assert_eq!(choose_range(Some("bytes=0-3"), 10), part(0, 4));
        assert_eq!(choose_range(Some("bytes=4-"), 10), part(4, 6));
        assert_eq!(choose_range(Some("bytes=-3"), 10), part(7, 3));
        assert_eq!(choose_range(Some("bytes=-30"), 10), part(0, 10));
        assert_eq!(choose_range(Some("bytes=8-99"), 10), part(8, 2));
    }

    #[test]
    fn range_behind_the_end_is_unsatisfiable() {
        assert_eq!(choose_range(Some("bytes=10-"), 10), Selection::Unsatisfiable);
        assert_eq!(choose_range(Some("bytes=-0"), 10), Selection::Unsatisfiable);
    }

    #[test]
    fn anything_else_means_the_whole_file() {
        for header in [
            None,
            Some("bytes=3-1"),
            Some("items=0-1"),
            Some("bytes=0-1,3-4"),
            Some("bytes=x-"),
        ] {
            assert_eq!(choose_range(header, 10), Selection::Whole, "{header:?}");
        }
    }
}
