//! The number of objects by what was done with them, and the printed summary. Pure.

use serde_json::{Value, json};

/// Number of failed keys that an error lists.
const LISTED: usize = 5;

/// What was done with a key, or would be done in a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Unchanged,
    /// The object was created later and is kept.
    Kept,
    /// Delete markers were removed.
    Unhidden,
    /// An older version was copied over a newer one.
    Copied,
}

impl Done {
    pub(super) fn is_change(self) -> bool {
        matches!(self, Self::Unhidden | Self::Copied)
    }

    /// Returns the label in a dry run.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::Unhidden => "deleted later",
            Self::Copied => "replaced later",
        }
    }
}

/// The number of objects by what was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    unchanged: u64,
    kept: u64,
    unhidden: u64,
    copied: u64,
    failed: Vec<(String, String)>,
}

impl Tally {
    pub(super) fn add(&mut self, done: Done) {
        match done {
            Done::Unchanged => self.unchanged += 1,
            Done::Kept => self.kept += 1,
            Done::Unhidden => self.unhidden += 1,
            Done::Copied => self.copied += 1,
        }
    }

    pub(super) fn fail(&mut self, key: String, error: String) {
        self.failed.push((key, error));
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Returns the first errors, and the number of the others.
    pub(super) fn errors(&self) -> Vec<String> {
        let mut errors: Vec<String> = self
            .failed
            .iter()
            .take(LISTED)
            .map(|(_, error)| error.clone())
            .collect();
        match self.failed.len().saturating_sub(LISTED) {
            0 => {}
            rest => errors.push(format!("{rest} more objects failed")),
        }
        errors
    }

    /// Returns the summary as one line.
    pub(super) fn summary(&self, dry_run: bool) -> String {
        let start = match dry_run {
            true => "dry run: would restore",
            false => "restored",
        };
        let objects = match self.unhidden + self.copied {
            1 => "1 object".to_owned(),
            count => format!("{count} objects"),
        };
        let failed = match self.failed.len() {
            0 => String::new(),
            count => format!(", {count} failed"),
        };
        format!(
            "{start} {objects} ({} deleted later, {} replaced later); {} unchanged, {} created later and kept{failed}",
            self.unhidden, self.copied, self.unchanged, self.kept
        )
    }

    /// Returns the summary as JSON.
    pub(super) fn object(&self) -> Value {
        let failed = self.failed.iter();
        json!({
            "deleted_later": self.unhidden,
            "replaced_later": self.copied,
            "unchanged": self.unchanged,
            "created_later": self.kept,
            "failed": failed.map(|(key, error)| json!({"key": key, "error": error})).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_objects() {
        let mut tally = Tally::default();
        assert_eq!(
            tally.summary(true),
            "dry run: would restore 0 objects (0 deleted later, 0 replaced later); 0 unchanged, 0 created later and kept"
        );
        for done in [Done::Unhidden, Done::Kept, Done::Unchanged, Done::Unchanged] {
            tally.add(done);
        }
        assert!(!tally.has_failed());
        for number in 0..7 {
            tally.fail(format!("k{number}"), format!("e{number}"));
        }
        assert_eq!(
            tally.summary(false),
            "restored 1 object (1 deleted later, 0 replaced later); 2 unchanged, 1 created later and kept, 7 failed"
        );
        assert_eq!(tally.errors().len(), 6);
        assert_eq!(tally.errors()[5], "2 more objects failed");
        assert_eq!(tally.object()["failed"][6]["key"], "k6");
    }
}
