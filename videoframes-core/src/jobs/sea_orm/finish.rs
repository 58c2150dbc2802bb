//! Makes jobs terminal, each with its notification.

use sea_orm::sea_query::Cond;

use super::entity::video_job::Column;
use super::{CallError, outbox, row};
use crate::database::{Database, Session, text};
use crate::jobs::{
    JobError, JobEvent, JobRepoError, JobStatus, Lease, OutboxMessage, Outcome, RenditionResult, VideoJob,
    WorkHash,
};

/// Ends a job for the holder of its lease.
pub(super) async fn finish(
    database: &Database,
    lease: &Lease,
    outcome: &Outcome,
) -> Result<VideoJob, CallError> {
    let transaction = database.begin().await?;
    let job = write(database, &transaction, row::held_by(lease), outcome, None).await?;
    transaction.commit().await?;
    Ok(job)
}

/// Ends a locked job that no worker holds.
pub(super) async fn end(
    database: &Database,
    transaction: &Session,
    job: &VideoJob,
    outcome: &Outcome,
    crash_count: u32,
) -> Result<VideoJob, CallError> {
    let event = match outcome {
        Outcome::Completed(..) => JobEvent::Complete,
        Outcome::Failed(_) => JobEvent::Fail,
        Outcome::Cancelled(_) => JobEvent::Cancel,
    };
    let guard = row::unchanged(job, event);
    write(database, transaction, guard, outcome, Some(crash_count)).await
}

async fn write(
    database: &Database,
    transaction: &Session,
    guard: Cond,
    outcome: &Outcome,
    crash_count: Option<u32>,
) -> Result<VideoJob, CallError> {
    let (status, error) = match outcome {
        Outcome::Completed(..) => (JobStatus::Completed, None),
        Outcome::Failed(error) => (JobStatus::Failed, Some(error)),
        Outcome::Cancelled(error) => (JobStatus::Cancelled, Some(error)),
    };
    let part = |part: fn(&JobError) -> &str| error.map(|error| text(part(error)));
    let mut change = row::change(database, guard);
    row::clear_lease(&mut change)
        .value(Column::Status, status.as_str())
        .value(Column::NextAttemptAt, Option::<i64>::None)
        .value(Column::ErrorCode, part(|error| &error.code))
        .value(Column::ErrorMessage, part(|error| &error.message))
        .value(Column::FinishedAt, database.now());
    if let Some(crash_count) = crash_count {
        change.value(Column::CrashCount, row::small(crash_count));
    }
    if let Outcome::Completed(result, work) = outcome {
        change
            .value(Column::ResultBucket, result.bucket.as_deref().map(text))
            .value(Column::ResultKey, text(&result.key))
            .value(Column::ResultSize, row::large(result.size))
            .value(Column::ResultSha256, text(&result.sha256))
            .value(Column::ResultFrames, row::large(result.frames))
            .value(Column::ResultPartial, result.partial)
            .value(Column::ResultRenditions, renditions(&result.renditions))
            .value(Column::WorkHash, work.as_ref().map(|WorkHash(hash)| text(hash)));
    }
    let job = row::apply(transaction, &change)
        .await?
        .ok_or(JobRepoError::LeaseLost)?;
    outbox::add(database, transaction, &[OutboxMessage::notification(&job)]).await?;
    Ok(job)
}

/// Serializes renditions to JSON; `None` if there are none.
fn renditions(results: &[RenditionResult]) -> Option<String> {
    let json = (!results.is_empty()).then(|| serde_json::to_string(results));
    json.transpose().ok().flatten().map(|json| text(&json))
}
