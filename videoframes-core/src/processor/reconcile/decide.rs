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
    use super::*;

    #[test]
    fn actions_follow_the_table() {
        use Action::*;
        use JobStatus::*;
        // Generation, whether an archive may be of a lost retry, and whether the archives are expired.
        let archives = [
            (Some(0), false, false),
            (Some(2), false, false),
            (None, false, false),
            (None, true, false),
            (Some(0), true, false),
            (Some(2), false, true),
            (None, true, true),
        ];
        let table = [
            (
                None,
                [Rebuild, Rebuild, ReportRow, ReportRow, Rebuild, Nothing, Nothing],
            ),
            (
                Some((Pending, 0)),
                [
                    Adopt(0),
                    Adopt(2),
                    Adopt(0),
                    Adopt(0),
                    Adopt(0),
                    Adopt(2),
                    Adopt(0),
                ],
            ),
            (
                Some((Processing, 1)),
                [
                    Adopt(1),
                    Adopt(2),
                    Adopt(1),
                    Adopt(1),
                    Adopt(1),
                    Adopt(2),
                    Adopt(1),
                ],
            ),
            (Some((RetryWait, 3)), [Adopt(3); 7]),
            (Some((Completed, 0)), [Nothing; 7]),
            (
                Some((Failed, 0)),
                [
                    Nothing,
                    Retry(2),
                    Nothing,
                    ReportRetry,
                    ReportRetry,
                    Retry(2),
                    Nothing,
                ],
            ),
            (
                Some((Failed, 2)),
                [
                    Nothing,
                    Nothing,
                    Nothing,
                    ReportRetry,
                    ReportRetry,
                    Nothing,
                    Nothing,
                ],
            ),
            (
                Some((Cancelled, 1)),
                [
                    Nothing,
                    Retry(2),
                    Nothing,
                    ReportRetry,
                    ReportRetry,
                    Retry(2),
                    Nothing,
                ],
            ),
        ];
        for (row, expected) in table {
            let row = row.map(|(status, generation)| RowFacts { status, generation });
            for ((generation, may_be_retry, is_expired), expected) in archives.into_iter().zip(expected) {
                let archives = ArchiveFacts {
                    generation,
                    may_be_retry,
                    is_expired,
                };
                assert_eq!(decide(row, archives), expected, "{row:?} {archives:?}");
            }
        }
    }
}
