//! Recognizes results of changes that a restored database lost. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::UnixMillis;
use crate::jobs::{JobStatus, VideoJob};

/// Maximum difference between the clocks of store and database. S3 has times of whole seconds.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(10);

/// The row of a job with a result that the row does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) status: JobStatus,
    /// Time of the end, if the job is terminal.
    pub(super) finished_at: Option<UnixMillis>,
}

impl From<&VideoJob> for Row {
    fn from(job: &VideoJob) -> Self {
        Self {
            status: job.status,
            finished_at: job.finished_at,
        }
    }
}

/// Returns whether a restored database may have lost the row that names a young result, or a retry of its job.
///
/// A database loses rows only by a restore. A result that was written after the end of its job is of a lost retry in a
/// restored database, and otherwise of a worker that was too late.
pub(super) fn may_be_lost(row: Option<Row>, written: SystemTime, was_restored: bool) -> bool {
    let Some(row) = row else {
        return true;
    };
    let written = written.duration_since(UNIX_EPOCH).unwrap_or_default();
    let written = UnixMillis::new(0).after(written).after(CLOCK_DIFFERENCE);
    let ended = row.finished_at.unwrap_or(UnixMillis::new(0));
    was_restored && row.status != JobStatus::Completed && written > ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_restore_loses_rows_and_retries() {
        let row = |status, second: i64| {
            Some(Row {
                status,
                finished_at: Some(UnixMillis::new(second * 1000)),
            })
        };
        // Without a restore, and after one.
        for (row, expected) in [
            (None, [true, true]),
            (row(JobStatus::Failed, 1000), [false, true]),
            (row(JobStatus::Cancelled, 999), [false, true]),
            (row(JobStatus::Failed, 1009), [false, true]),
            (row(JobStatus::Failed, 1011), [false, false]),
            (row(JobStatus::Completed, 0), [false, false]),
        ] {
            let written = UNIX_EPOCH + Duration::from_secs(1000);
            let found = [false, true].map(|was_restored| may_be_lost(row, written, was_restored));
            assert_eq!(found, expected, "{row:?}");
        }
    }
}
