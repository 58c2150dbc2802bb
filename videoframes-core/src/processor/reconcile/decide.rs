//! Decides what happens to a job with archives. Pure.

use crate::jobs::JobStatus;

/// The row of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowFacts {
    pub(super) status: JobStatus,
    pub(super) generation: u32,
}

/// The archives of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArchiveFacts {
    /// Latest generation of the job that wrote an archive; `None` if no archive has a record of its request.
    pub(super) generation: Option<u32>,
    /// Whether an archive without a record may be of a lost retry.
    pub(super) may_be_retry: bool,
    /// Whether all archives are older than the retention of rows.
    pub(super) is_expired: bool,
}

/// What happens to a job with archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The row agrees with the archives, or the archives are orphans.
    Nothing,
    /// Insert the lost row.
    Rebuild,
    /// Enqueue the job at this generation: its next claim adopts an archive.
    Adopt(u32),
    /// Retry the job at this generation, as an operator did after the moment: its next claim adopts an archive.
    Retry(u32),
    /// Report the archive, whose row cannot be rebuilt.
    ReportRow,
    /// Report the archive, which an operator may have requested by a retry after the moment.
    ReportRetry,
}

/// Decides on a job by its row and its archives.
///
/// A row outlives its archives, so expired archives without a row are orphans. A failed or cancelled job may have
/// an orphaned archive of the same generation; an archive of a later generation shows a lost retry. Without a record,
/// only the time of the archive tells the two apart, which is no proof: a late worker writes such an archive too.
pub(super) fn decide(row: Option<RowFacts>, archives: ArchiveFacts) -> Action {
    let Some(row) = row else {
        return match archives.generation {
            _ if archives.is_expired => Action::Nothing,
            Some(_) => Action::Rebuild,
            None => Action::ReportRow,
        };
    };
    let generation = archives.generation.unwrap_or(row.generation).max(row.generation);
    match row.status {
        JobStatus::Completed => Action::Nothing,
        JobStatus::Pending | JobStatus::Processing | JobStatus::RetryWait => Action::Adopt(generation),
        JobStatus::Failed | JobStatus::Cancelled if generation > row.generation => Action::Retry(generation),
        JobStatus::Failed | JobStatus::Cancelled if archives.may_be_retry && !archives.is_expired => {
            Action::ReportRetry
        }
        JobStatus::Failed | JobStatus::Cancelled => Action::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use Action::*;
    use JobStatus::*;

    use super::*;

    /// Generation, whether an archive may be of a lost retry, and whether the archives are expired.
    const ARCHIVES: [(Option<u32>, bool, bool); 7] = [
        (Some(0), false, false),
        (Some(2), false, false),
        (None, false, false),
        (None, true, false),
        (Some(0), true, false),
        (Some(2), false, true),
        (None, true, true),
    ];

    fn check(row: Option<(JobStatus, u32)>, expected: [Action; 7]) {
        let row = row.map(|(status, generation)| RowFacts { status, generation });
        for ((generation, may_be_retry, is_expired), expected) in ARCHIVES.into_iter().zip(expected) {
            let archives = ArchiveFacts {
                generation,
                may_be_retry,
                is_expired,
            };
            assert_eq!(decide(row, archives), expected, "{row:?} {archives:?}");
        }
    }

    #[test]
    fn lost_rows_are_rebuilt_or_reported() {
        let (rebuild, report) = (Rebuild, ReportRow);
        check(
            None,
            [rebuild, rebuild, report, report, rebuild, Nothing, Nothing],
        );
    }

    #[test]
    fn unfinished_jobs_adopt_at_the_latest_generation() {
        for (row, generations) in [
            ((Pending, 0), [0, 2, 0, 0, 0, 2, 0]),
            ((Processing, 1), [1, 2, 1, 1, 1, 2, 1]),
            ((RetryWait, 3), [3; 7]),
        ] {
            check(Some(row), generations.map(Adopt));
        }
    }

    #[test]
    fn lost_retries_are_repeated_or_reported() {
        let (retry, report) = (Retry(2), ReportRetry);
        check(Some((Completed, 0)), [Nothing; 7]);
        for row in [(Failed, 0), (Cancelled, 1)] {
            check(
                Some(row),
                [Nothing, retry, Nothing, report, report, retry, Nothing],
            );
        }
        check(
            Some((Failed, 2)),
            [Nothing, Nothing, Nothing, report, report, Nothing, Nothing],
        );
    }
}
