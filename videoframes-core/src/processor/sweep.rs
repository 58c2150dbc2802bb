//! Finds abandoned jobs, and removes results that no job refers to.

use std::time::{Duration, SystemTime};

use super::Parts;
use super::config::ProcessorConfig;
use super::fault::{self, Point};
use super::renditions::archive_beside;
use super::telemetry;
use super::work::RESULTS;
use crate::error::chain;
use crate::jobs::{JobId, JobRepoError, JobStatus, SweepTerms};
use crate::storage::{ObjectEntry, ObjectKey};

/// Objects that are looked at together.
const PAGE: usize = 1000;
/// Most jobs that one sweep enqueues, and that it forgets.
const JOBS: u32 = 1000;

/// One pass over the jobs: see [`crate::jobs::JobRepo::sweep`].
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
    let backlog = parts.repo.outbox_backlog().await?;
    telemetry::outbox(&backlog);
    Ok(())
}

/// One pass over the results: removes what no job refers to, once it is older than `orphan`.
pub(super) async fn sweep_results(parts: &Parts, orphan: Duration) {
    let mut after: Option<ObjectKey> = None;
    loop {
        let prefix = format!("{RESULTS}/");
        let page = match parts.stores.results().list(&prefix, after.as_ref(), PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(error = chain(&error), "the results cannot be listed");
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
                    tracing::info!(key = %object.key, "a result that no job has is removed");
                    if let Err(error) = parts.stores.results().delete(&object.key).await {
                        tracing::warn!(error = chain(&error), "it cannot be removed");
                    }
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "the results cannot be compared with the jobs"
                    );
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
    // Of a job that is still to be worked on it may be adopted.
    let over = match parts.repo.get(job).await? {
        Some(job) => matches!(
            job.status,
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled
        ),
        None => true,
    };
    // A rendition is part of the result whose archive it lies beside.
    let Some(archive) = archive_beside(&object.key) else {
        return Ok(false);
    };
    Ok(over && !parts.repo.is_result(&archive).await?)
}
