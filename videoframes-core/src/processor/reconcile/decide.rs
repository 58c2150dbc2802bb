//! Decides what happens to a job with an archive. Pure.

use crate::jobs::JobStatus;

/// The row of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowFacts {
    pub(super) status: JobStatus,
    pub(super) generation: u32,
}

/// The newest archive of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArchiveFacts {
    /// Generation of the job that wrote the archive; `None` if the archive has no record of its request.
    pub(super) generation: Option<u32>,
    /// Whether the archive is older than the retention of rows.
    pub(super) is_expired: bool,
}

/// What happens to a job with an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The row agrees with the archive, or the archive is an orphan.
    Nothing,
    /// Insert the lost row.
    Rebuild,
    /// Enqueue the job: its next claim adopts the archive.
    Enqueue,
    /// Retry the job, as an operator did after the moment: its next claim adopts the archive.
    Retry,
    /// Report the archive, whose row cannot be rebuilt.
    Report,
}

/// Decides on a job by its row and its newest archive.
///
/// A row outlives its archive, so an expired archive without a row is an orphan. A failed or cancelled job may have
/// an orphaned archive of the same generation; an archive of a later generation shows a lost retry.
pub(super) fn decide(row: Option<RowFacts>, archive: ArchiveFacts) -> Action {
    let Some(row) = row else {
        return match archive.generation {
            _ if archive.is_expired => Action::Nothing,
            Some(_) => Action::Rebuild,
            None => Action::Report,
        };
    };
    match row.status {
        JobStatus::Completed => Action::Nothing,
        JobStatus::Pending | JobStatus::Processing | JobStatus::RetryWait => Action::Enqueue,
        JobStatus::Failed | JobStatus::Cancelled => match archive.generation {
            Some(generation) if generation > row.generation => Action::Retry,
            _ => Action::Nothing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_follow_the_table() {
        use Action::*;
        use JobStatus::*;
        // Archives: of generation 0, of generation 2, without a record, expired.
        let archives = [(Some(0), false), (Some(2), false), (None, false), (Some(2), true)];
        let table = [
            (None, [Rebuild, Rebuild, Report, Nothing]),
            (Some((Pending, 0)), [Enqueue; 4]),
            (Some((Processing, 0)), [Enqueue; 4]),
            (Some((RetryWait, 0)), [Enqueue; 4]),
            (Some((Completed, 0)), [Nothing; 4]),
            (Some((Failed, 0)), [Nothing, Retry, Nothing, Retry]),
            (Some((Failed, 2)), [Nothing; 4]),
            (Some((Cancelled, 1)), [Nothing, Retry, Nothing, Retry]),
        ];
        for (row, expected) in table {
            let row = row.map(|(status, generation)| RowFacts { status, generation });
            for ((generation, is_expired), expected) in archives.into_iter().zip(expected) {
                let archive = ArchiveFacts {
                    generation,
                    is_expired,
                };
                assert_eq!(decide(row, archive), expected, "{row:?} {archive:?}");
            }
        }
    }
}
