//! Finds abandoned jobs, and deletes orphaned results.

use std::time::{Duration, SystemTime};

use super::config::ProcessorConfig;
use super::fault::{self, Point};
use super::keys::RESULTS;
use super::parts::Parts;
use super::renditions::archive_of;
use super::telemetry;
use crate::error::chain;
use crate::jobs::{ErrorCode, JobId, JobRepoError, JobStatus, SweepTerms};
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

/// Sweeps the results once: deletes results without a job that are older than `orphan`.
pub(super) async fn sweep_results(parts: &Parts, orphan: Duration) {
    let mut after: Option<ObjectKey> = None;
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
            return;
        };
        after = Some(last.key.clone());
        for object in page {
            match is_orphan(parts, &object, orphan).await {
                Ok(true) => {
                    tracing::info!(key = %object.key, "deleting an orphaned result");
                    if let Err(error) = parts.stores.results().delete(&object.key).await {
                        tracing::warn!(error = chain(&error), "failed to delete an orphaned result");
                    }
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "failed to find the job of a result");
                    return;
                }
            }
        }
    }
}

async fn is_orphan(parts: &Parts, object: &ObjectEntry, orphan: Duration) -> Result<bool, JobRepoError> {
    let age = SystemTime::now()
        .duration_since(object.modified)
        .unwrap_or_default();
    if age < orphan {
        return Ok(false);
    }
    let job = object
        .key
        .as_str()
        .split('/')
        .nth(1)
        .and_then(|id| id.parse::<JobId>().ok());
    let Some(job) = job else {
        return Ok(false);
    };
    // An unfinished job may still adopt the object.
    let over = match parts.repo.get(job).await? {
        Some(job) => matches!(
            job.status,
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled
        ),
        None => true,
    };
    // A rendition belongs to the same result as its archive.
    let Some(archive) = archive_of(&object.key) else {
        return Ok(false);
    };
    Ok(over && !parts.repo.is_result(&archive).await?)
}
