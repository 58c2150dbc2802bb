//! The decision for one key: its versions and a time → what to do. Pure.

/// A version of an object, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    /// Time of the write in milliseconds since the epoch. Most stores report whole seconds.
    pub(super) written: i64,
    /// Whether the entry is the current state of the key.
    pub(super) current: bool,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Version { size: u64 },
    Marker,
}

/// What makes the current state of a key equal to the state at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing: the current state is the state of that time.
    Unchanged,
    /// Nothing: the object did not exist at that time. It is kept, since its deletion would lose a newer result.
    Keep,
    /// Remove these delete markers, oldest first: only the last removal makes the version of that time current.
    Unhide(Vec<String>),
    /// Copy this version over a newer version.
    Copy {
        id: String,
        size: u64,
        /// The current version, if it may be an earlier copy of the same version.
        current: Option<String>,
    },
}

/// Decides on the entries of one key, in any order.
///
/// Of a version and a delete marker that were written at the same time, the current one counts as newer, else the
/// version: then nothing is lost.
pub(super) fn decide(mut entries: Vec<Entry>, at: i64) -> Action {
    entries.sort_by_key(|entry| {
        let is_version = matches!(entry.kind, Kind::Version { .. });
        std::cmp::Reverse((entry.current, entry.written, is_version))
    });
    let Some(current) = entries.first() else {
        return Action::Unchanged;
    };
    let Some(then) = entries.iter().position(|entry| entry.written <= at) else {
        return unless_deleted(current, Action::Keep);
    };
    let (newer, then) = (&entries[..then], &entries[then]);
    let Kind::Version { size } = then.kind else {
        return match newer.is_empty() {
            true => Action::Unchanged,
            false => unless_deleted(current, Action::Keep),
        };
    };
    if newer.is_empty() {
        return Action::Unchanged;
    }
    if newer.iter().all(|entry| entry.kind == Kind::Marker) {
        return Action::Unhide(newer.iter().rev().map(|entry| entry.id.clone()).collect());
    }
    let same_size = current.kind == then.kind;
    Action::Copy {
        id: then.id.clone(),
        size,
        current: same_size.then(|| current.id.clone()),
    }
}

/// Returns `action`, unless the key has no object now.
fn unless_deleted(current: &Entry, action: Action) -> Action {
    match current.kind {
        Kind::Marker => Action::Unchanged,
        Kind::Version { .. } => action,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns entries from a text such as `v5:10 m7`, oldest first: versions and markers by their time, versions with
    /// their size. The last entry is the current one, and identifiers are positions.
    fn entries(text: &str) -> Vec<Entry> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let entry = |(number, word): (usize, &&str)| {
            let (time, size) = word[1..].split_once(':').unwrap_or((&word[1..], "1"));
            Entry {
                id: number.to_string(),
                written: time.parse().unwrap_or_default(),
                current: number + 1 == words.len(),
                kind: match word.starts_with('v') {
                    true => Kind::Version {
                        size: size.parse().unwrap_or_default(),
                    },
                    false => Kind::Marker,
                },
            }
        };
        words.iter().enumerate().map(entry).collect()
    }

    fn copy(id: &str, size: u64, current: Option<&str>) -> Action {
        Action::Copy {
            id: id.to_owned(),
            size,
            current: current.map(str::to_owned),
        }
    }

    #[test]
    fn the_state_of_a_time_becomes_the_current_state() {
        use Action::{Keep, Unchanged};
        let unhide = |ids: &[&str]| Action::Unhide(ids.iter().map(|id| (*id).to_owned()).collect());
        for (history, at, expected) in [
            ("", 5, Unchanged),
            // The object is as it was.
            ("v1", 5, Unchanged),
            ("v1 v3", 5, Unchanged),
            ("v1 v5", 5, Unchanged),
            // It was deleted later, once or repeatedly.
            ("v1 m7", 5, unhide(&["1"])),
            ("v1 v3 m7", 5, unhide(&["2"])),
            ("v1 m7 m8 m9", 5, unhide(&["1", "2", "3"])),
            // It was replaced later, by content of another or of the same size, or replaced and deleted.
            ("v1:10 v7:20", 5, copy("0", 10, None)),
            ("v1:10 v7:10", 5, copy("0", 10, Some("1"))),
            ("v1:10 m6 v7:20", 5, copy("0", 10, None)),
            ("v1:10 v6:20 m7", 5, copy("0", 10, None)),
            // A copy is current: a second run compares it.
            ("v1:10 v7:20 v9:10", 5, copy("0", 10, Some("2"))),
            // It did not exist at that time: before its creation, or between deletion and creation.
            ("v7", 5, Keep),
            ("v7 v8", 5, Keep),
            ("v1 m2 v7", 5, Keep),
            ("v7 m8", 5, Unchanged),
            ("v1 m2 v7 m8", 5, Unchanged),
            ("m2", 5, Unchanged),
            ("v1 m2", 5, Unchanged),
            ("v1 m2 m7", 5, Unchanged),
            ("m7", 5, Unchanged),
            // Written at the same time.
            ("v5 m5", 5, Unchanged),
            ("v5 m5", 4, Unchanged),
            ("v3 m3 v7", 5, copy("0", 1, Some("2"))),
        ] {
            let entries = entries(history);
            assert_eq!(decide(entries.clone(), at), expected, "{history} at {at}");
            let reversed = entries.into_iter().rev().collect();
            assert_eq!(decide(reversed, at), expected, "{history} reversed");
        }
    }
}
