//! Decides whether a database was restored to an earlier moment. Pure.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{JobStatus, LeaseEpoch};
use crate::clock::UnixMillis;

/// Name of the restore mark in the folder of the results.
pub(crate) const RESTORE_MARK: &str = "restore-mark.json";
/// Number of bits of a [`LeaseEpoch`] that count the claims between two accepted restores.
const CLAIM_BITS: u32 = 20;

/// The mark by which a restored database is recognized: in the database, and a copy of it in the result store.
///
/// Workers increase the mark in the database periodically, and then copy it to the store. The database of a
/// deployment is therefore never behind the store, unless the database was restored to an earlier moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreMark {
    /// Identifier of the database, made with its schema.
    pub deployment: Uuid,
    /// Number of accepted restores.
    pub generation: i64,
    /// Number that workers increase periodically.
    pub mark: i64,
}

impl RestoreMark {
    /// Returns whether the database with this mark precedes the database with the mark `other`.
    fn is_behind(&self, other: &Self) -> bool {
        (self.generation, self.mark) < (other.generation, other.mark)
    }
}

/// The mark in a database, with times of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreRow {
    /// The mark.
    pub mark: RestoreMark,
    /// Time of the last increase.
    pub advanced_at: UnixMillis,
    /// Time of the read.
    pub now: UnixMillis,
    /// The latest mark that the repository saw before, if any.
    pub seen: Option<RestoreMark>,
}

impl RestoreRow {
    /// Returns whether the repository saw a later mark, or another database.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.seen.is_some_and(|seen| !may_continue(&seen, &self.mark))
    }
}

/// The state of a database according to the mark in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RestoreState {
    /// The store has no mark yet.
    New,
    /// The database is not behind the store.
    Current,
    /// The database was restored to an earlier moment.
    Restored {
        /// Number of periods between the moment and the last mark in the store.
        marks: i64,
    },
    /// The store belongs to another database.
    Foreign {
        /// Identifier of the other database.
        deployment: Uuid,
    },
}

impl RestoreState {
    /// Compares the mark of a database with a mark that was read from the store before, and with the latest mark that
    /// the caller saw.
    ///
    /// A caller that saw another database trusts the store: the database was replaced, and the restore accepted.
    #[must_use]
    pub fn compare(database: &RestoreRow, store: Option<&RestoreMark>) -> Self {
        let (mark, seen) = (&database.mark, database.seen.as_ref());
        let behind = |later: &RestoreMark| Self::Restored {
            marks: later.mark.saturating_sub(mark.mark).max(0),
        };
        let other = |later: &RestoreMark| Self::Foreign {
            deployment: later.deployment,
        };
        match (store, seen) {
            (Some(store), _) if store.deployment != mark.deployment => other(store),
            (Some(store), _) if mark.is_behind(store) => behind(store),
            (None, Some(seen)) if seen.deployment != mark.deployment => other(seen),
            (_, Some(seen)) if seen.deployment == mark.deployment && mark.is_behind(seen) => behind(seen),
            (None, _) => Self::New,
            (Some(_), _) => Self::Current,
        }
    }

    /// Returns whether workers may change jobs.
    #[must_use]
    pub fn is_current(self) -> bool {
        matches!(self, Self::New | Self::Current)
    }
}

/// Returns whether a program that saw the mark `seen` may work with a database that now has the mark `now`.
pub(crate) fn may_continue(seen: &RestoreMark, now: &RestoreMark) -> bool {
    seen.deployment == now.deployment && !now.is_behind(seen)
}

/// Returns the mark after an accepted restore: later than both marks.
pub(crate) fn accepted(database: &RestoreMark, store: Option<&RestoreMark>) -> RestoreMark {
    let store = store.unwrap_or(database);
    RestoreMark {
        deployment: database.deployment,
        generation: database.generation.max(store.generation).saturating_add(1),
        mark: database.mark.max(store.mark).saturating_add(1),
    }
}

/// How a job reaches a generation that a restored database lost: see [`JobRepo::raise`](super::JobRepo::raise).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raise {
    /// The job is in this generation or a later one.
    Nothing,
    /// The job waits for a worker or is processed, and continues at the generation.
    Continue,
    /// The job ended in an earlier generation, and is retried.
    Retry,
    /// The job is completed.
    Refuse,
}

impl Raise {
    /// Returns how a job in this state and generation reaches the generation `lost`.
    pub(crate) fn of(status: JobStatus, generation: u32, lost: u32) -> Self {
        use JobStatus::{Cancelled, Completed, Failed, Pending, Processing, RetryWait};
        match status {
            Completed => Self::Refuse,
            Failed | Cancelled if lost > generation => Self::Retry,
            Pending | Processing | RetryWait if lost >= generation => Self::Continue,
            _ => Self::Nothing,
        }
    }
}

/// Returns the epoch of the next claim of a job, in a database with this number of accepted restores.
///
/// After a restore, the row may have forgotten claims. The epochs of a generation start above all epochs of
/// the generations before, unless a job was claimed a million times between two restores. No claim therefore
/// reuses an epoch: neither the lease of a forgotten claim nor its archive belongs to a later claim.
pub(crate) fn next_epoch(epoch: LeaseEpoch, generation: i64) -> LeaseEpoch {
    let floor = generation.saturating_mul(1 << CLAIM_BITS);
    LeaseEpoch(epoch.0.max(floor).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(deployment: u128, generation: i64, mark: i64) -> RestoreMark {
        RestoreMark {
            deployment: Uuid::from_u128(deployment),
            generation,
            mark,
        }
    }

    #[test]
    fn a_database_behind_the_store_was_restored() {
        use RestoreState::*;
        let foreign = Foreign {
            deployment: Uuid::from_u128(2),
        };
        for (store, seen, expected) in [
            (None, None, New),
            (Some(mark(1, 1, 10)), None, Current),
            (Some(mark(1, 1, 9)), None, Current),
            (Some(mark(1, 0, 99)), None, Current),
            (Some(mark(1, 1, 11)), None, Restored { marks: 1 }),
            (Some(mark(1, 2, 10)), None, Restored { marks: 0 }),
            (Some(mark(1, 2, 3)), None, Restored { marks: 0 }),
            (Some(mark(2, 0, 0)), None, foreign),
            (Some(mark(2, 9, 9)), None, foreign),
            // The worker saw a later mark than the store has.
            (Some(mark(1, 1, 10)), Some(mark(1, 1, 10)), Current),
            (Some(mark(1, 1, 10)), Some(mark(1, 1, 12)), Restored { marks: 2 }),
            (None, Some(mark(1, 1, 12)), Restored { marks: 2 }),
            (None, Some(mark(2, 0, 0)), foreign),
            // Another database was accepted since.
            (Some(mark(1, 1, 10)), Some(mark(2, 0, 99)), Current),
        ] {
            let database = RestoreRow {
                mark: mark(1, 1, 10),
                advanced_at: UnixMillis(0),
                now: UnixMillis(0),
                seen,
            };
            let state = RestoreState::compare(&database, store.as_ref());
            assert_eq!(state, expected, "{store:?} {seen:?}");
            assert_eq!(state.is_current(), matches!(expected, New | Current));
        }
    }

    #[test]
    fn an_accepted_restore_is_later_than_both_marks() {
        let database = mark(1, 1, 10);
        for (store, expected) in [
            (None, mark(1, 2, 11)),
            (Some(mark(1, 1, 12)), mark(1, 2, 13)),
            (Some(mark(1, 4, 2)), mark(1, 5, 11)),
            (Some(mark(2, 4, 20)), mark(1, 5, 21)),
        ] {
            let after = accepted(&database, store.as_ref());
            assert_eq!(after, expected, "{store:?}");
            assert!(may_continue(&database, &after));
            assert!(!may_continue(&after, &database));
        }
        assert!(!may_continue(&database, &mark(2, 9, 99)), "another database");
        assert!(may_continue(&database, &database));
    }

    #[test]
    fn a_job_reaches_a_lost_generation_by_its_state() {
        use JobStatus::*;
        // For generations before, equal to and after that of the row.
        for (status, expected) in [
            (Pending, [Raise::Nothing, Raise::Continue, Raise::Continue]),
            (Processing, [Raise::Nothing, Raise::Continue, Raise::Continue]),
            (RetryWait, [Raise::Nothing, Raise::Continue, Raise::Continue]),
            (Failed, [Raise::Nothing, Raise::Nothing, Raise::Retry]),
            (Cancelled, [Raise::Nothing, Raise::Nothing, Raise::Retry]),
            (Completed, [Raise::Refuse; 3]),
        ] {
            assert_eq!(
                [0, 1, 2].map(|lost| Raise::of(status, 1, lost)),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn epochs_of_a_generation_start_above_those_before() {
        for (epoch, generation, expected) in [
            (0, 0, 1),
            (7, 0, 8),
            (7, 1, (1 << 20) + 1),
            ((1 << 20) + 3, 1, (1 << 20) + 4),
            ((1 << 20) + 3, 2, (2 << 20) + 1),
            (i64::MAX, 1, i64::MAX),
            (0, i64::MAX, i64::MAX),
        ] {
            assert_eq!(next_epoch(LeaseEpoch(epoch), generation), LeaseEpoch(expected));
        }
    }
}
