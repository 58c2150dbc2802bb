//! The restore mark.

use std::time::Duration;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::jobs::restore::{accepted, may_continue};
use crate::jobs::{JobRepoError, RestoreMark, RestoreRow};

/// The mark, and the mark that the repository remembers.
pub(super) struct Restore {
    mark: RestoreMark,
    advanced_at: UnixMillis,
    seen: Option<RestoreMark>,
}

impl Default for Restore {
    fn default() -> Self {
        Self {
            mark: RestoreMark {
                deployment: Uuid::new_v4(),
                generation: 0,
                mark: 0,
            },
            advanced_at: UnixMillis(0),
            seen: None,
        }
    }
}

impl Restore {
    pub(super) fn row(&self, now: UnixMillis) -> RestoreRow {
        RestoreRow {
            mark: self.mark,
            advanced_at: self.advanced_at,
            now,
            seen: self.seen,
        }
    }

    pub(super) fn observe(&mut self, mark: &RestoreMark) {
        if !self.seen.is_some_and(|seen| may_continue(mark, &seen)) {
            self.seen = Some(*mark);
        }
    }

    /// Returns the mark, unless it is behind a remembered mark.
    pub(super) fn check(&mut self, now: UnixMillis) -> Result<RestoreRow, JobRepoError> {
        if self.row(now).is_behind() {
            return Err(JobRepoError::Restored);
        }
        self.seen = Some(self.mark);
        Ok(self.row(now))
    }

    pub(super) fn advance(
        &mut self,
        interval: Duration,
        now: UnixMillis,
    ) -> Result<Option<RestoreRow>, JobRepoError> {
        self.check(now)?;
        if self.advanced_at.after(interval) > now {
            return Ok(None);
        }
        self.mark.mark += 1;
        self.advanced_at = now;
        self.check(now).map(Some)
    }

    pub(super) fn accept(&mut self, store: Option<&RestoreMark>, now: UnixMillis) -> RestoreRow {
        self.mark = accepted(&self.mark, store);
        self.advanced_at = now;
        self.row(now)
    }
}
