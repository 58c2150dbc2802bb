//! Finds abandoned jobs, and deletes orphaned results.

use super::config::{ProcessorConfig, Timing};
use super::fault::{self, Point};
use super::keys::{RESULTS, archive_of, is_probe};
use super::lost::{Row, may_be_lost};
use super::parts::Parts;
use super::telemetry;
use crate::error::chain;
use crate::jobs::{ErrorCode, JobId, JobRepoError, SweepTerms};
use crate::storage::{ObjectEntry, ObjectKey};

/// Number of objects per list request.
const PAGE: usize = 1000;
/// Maximum number of jobs that one sweep enqueues, and that it deletes.
const JOBS: u32 = 1000;

/// Sweeps the jobs once: see [`crate::jobs::JobRepo::sweep`].
pub(super) async fn sweep_jobs(parts: &Parts, config: &ProcessorConfig) -> Result<(), JobRepoError> {
    let terms = SweepTerms {
        overdue: config.timing.overdue,
        drained: parts.drained.ago(),
        crashes: config.crashes,
        retention: config.timing.retention,
        most: JOBS,
    };
    let swept = parts.repo.sweep(&terms).await?;
    fault::reached(Point::Swept);
    for (reason, count) in [
        ("enqueued", swept.enqueued),
        ("failed", swept.failed),
        ("cancelled", swept.cancelled),
        ("forgotten", swept.forgotten),
    ] {
        if count > 0 {
            tracing::info!(reason, count, "swept jobs");
            telemetry::rescued(reason, count);
        }
    }
    if swept.unparked > 0 {
        tracing::info!(count = swept.unparked, "enqueued parked jobs");
    }
    // The error of a cancelled job is not known here: cancelled on request or superseded.
    for (outcome, error, count) in [
        ("failed", ErrorCode::WorkerCrashLoop, swept.crashed),
        (
            "failed",
            ErrorCode::DeadlineExceeded,
            swept.failed - swept.crashed,
        ),
        ("cancelled", ErrorCode::Cancelled, swept.cancelled),
    ] {
        telemetry::job_ended_without_attempt(outcome, error.as_str(), count);
    }
    telemetry::unfinished(&parts.repo.unfinished().await?);
    let backlog = parts.repo.outbox_backlog().await?;
    telemetry::outbox(&backlog);
    Ok(())
}

/// What happens to an object in the folder of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    /// Kept, like all objects of the same archive.
    Result,
    Delete,
    /// Kept, although no row names it: the database may have lost the row or a retry of the job.
    Unknown,
}

/// Sweeps the results once: deletes results without a job that are older than [`Timing::orphan`].
pub(super) async fn sweep_results(parts: &Parts, timing: &Timing) {
    let mut after: Option<ObjectKey> = None;
    let mut unknown = 0_u64;
    // Objects of one result follow each other.
    let mut result: Option<String> = None;
    loop {
        let prefix = format!("{RESULTS}/");
        let page = match parts.stores.results().list(&prefix, after.as_ref(), PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(error = chain(&error), "failed to list results");
                return;
            }
        };
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.key.clone());
        for object in page {
            if result.is_some() && result == archive_of(&object.key) {
                continue;
            }
            match fate(parts, &object, timing).await {
                Ok(Fate::Delete) => {
                    tracing::info!(key = %object.key, "deleting an orphaned result");
                    if let Err(error) = parts.stores.results().delete(&object.key).await {
                        tracing::warn!(error = chain(&error), "failed to delete an orphaned result");
                    }
                }
                Ok(Fate::Unknown) => unknown += 1,
                Ok(Fate::Keep) => {}
                Ok(Fate::Result) => result = archive_of(&object.key),
                // A newer worker reads the row, and sweeps its objects.
                Err(JobRepoError::Unreadable(_)) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "failed to find the job of a result");
                    return;
                }
            }
        }
    }
    telemetry::unknown_results(unknown);
    if unknown > 0 {
        tracing::warn!(
            count = unknown,
            "found results whose jobs have no row, or were retried before a restore; run 'vf-worker reconcile'"
        );
    }
}

async fn fate(parts: &Parts, object: &ObjectEntry, timing: &Timing) -> Result<Fate, JobRepoError> {
    let age = parts.age(object.modified);
    if age < timing.orphan {
        return Ok(Fate::Keep);
    }
    let job = object
        .key
        .as_str()
        .split('/')
        .nth(1)
        .and_then(|id| id.parse::<JobId>().ok());
    let Some(job) = job else {
        return Ok(Fate::Keep);
    };
    let row = parts.repo.get(job).await?;
    // An unfinished job may still adopt the object.
    let unfinished = row.as_ref().is_some_and(|job| !job.status.is_terminal());
    // Additional outputs belong to the same result as their archive.
    let Some(archive) = archive_of(&object.key).filter(|_| !unfinished) else {
        return Ok(Fate::Keep);
    };
    if parts.repo.is_result(&archive).await? {
        return Ok(Fate::Result);
    }
    if !parts.is_current().await? {
        return Ok(Fate::Keep);
    }
    // Only a young result may be of a lost change: a row outlives the result of its job.
    if age >= timing.retention || is_probe(&object.key) {
        return Ok(Fate::Delete);
    }
    let was_restored = parts.repo.restore_mark().await?.mark.generation > 0;
    match may_be_lost(row.as_ref().map(Row::from), object.modified, was_restored) {
        true => Ok(Fate::Unknown),
        false => Ok(Fate::Delete),
    }
}
