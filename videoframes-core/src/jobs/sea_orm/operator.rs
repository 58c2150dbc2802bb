//! Operations for operators.

use sea_orm::ColumnTrait;
use sea_orm::sea_query::{Cond, Expr, Func, UpdateStatement};

use super::call_error::CallError;
use super::entity::video_job::Column;
use super::finish::End;
use super::restore::Checked;
use super::{outbox, parking, row};
use crate::database::{Database, Session};
use crate::jobs::lease::{Decision, JobFacts, cancelled, decide};
use crate::jobs::restore::Raise;
use crate::jobs::{Hold, JobEvent, JobId, JobRepoError, JobStatus, OutboxMessage, VideoJob};

pub(super) async fn cancel(checked: &Checked, job: JobId) -> Result<Option<VideoJob>, CallError> {
    let database = &checked.database;
    let transaction = database.begin().await?;
    let Some(facts) = row::lock(database, &transaction, job).await? else {
        return Ok(None);
    };
    let job = &facts.job;
    if job.status == JobStatus::Cancelled {
        return Ok(Some(facts.job));
    }
    if job.status.after(JobEvent::Cancel).is_none() {
        return Err(JobRepoError::WrongState(job.status).into());
    }
    let job = match decide(&facts, u32::MAX) {
        Decision::Held(_) => {
            let mut change = row::change(database, row::unchanged(job, JobEvent::Cancel));
            change.value(Column::CancelRequested, true);
            row::apply(&transaction, &change).await?
        }
        _ => {
            let ended = End::of(job, &cancelled(), job.crash_count)
                .write(database, &transaction)
                .await?;
            parking::after_end(checked, &transaction, job).await?;
            Some(ended)
        }
    };
    transaction.commit().await?;
    Ok(job)
}

pub(super) async fn retry(database: &Database, job: JobId) -> Result<Option<VideoJob>, CallError> {
    let transaction = database.begin().await?;
    let Some(JobFacts { job, .. }) = row::lock(database, &transaction, job).await? else {
        return Ok(None);
    };
    if job.status.after(JobEvent::Retry).is_none() {
        return Err(JobRepoError::WrongState(job.status).into());
    }
    let retried = restart(database, &transaction, &job, job.generation.saturating_add(1)).await?;
    transaction.commit().await?;
    Ok(retried)
}

pub(super) async fn raise(
    database: &Database,
    job: JobId,
    generation: u32,
) -> Result<Option<VideoJob>, CallError> {
    let transaction = database.begin().await?;
    let Some(JobFacts { job, .. }) = row::lock(database, &transaction, job).await? else {
        return Ok(None);
    };
    let raised = match Raise::of(job.status, job.generation, generation) {
        Raise::Refuse => return Err(JobRepoError::WrongState(job.status).into()),
        Raise::Nothing => return Ok(Some(job)),
        Raise::Retry => restart(database, &transaction, &job, generation).await?,
        Raise::Continue => {
            let mut change = row::change(database, Cond::all().add(Column::Id.eq(job.id.0)));
            begin_generation(database, &mut change, generation);
            row::apply(&transaction, &change).await?
        }
    };
    transaction.commit().await?;
    Ok(raised)
}

/// Enqueues a locked job that failed or was cancelled, at a new generation.
async fn restart(
    database: &Database,
    transaction: &Session,
    job: &VideoJob,
    generation: u32,
) -> Result<Option<VideoJob>, CallError> {
    let mut change = row::change(database, row::unchanged(job, JobEvent::Retry));
    begin_generation(database, &mut change, generation);
    change
        .value(Column::Status, JobStatus::Pending.as_str())
        .value(Column::CancelRequested, false)
        .value(Column::FinishedAt, Option::<i64>::None)
        .value(Column::ParkedAt, Option::<i64>::None)
        .value(Column::EnqueuedAt, database.now());
    let job = row::apply(transaction, &change).await?;
    if let Some(job) = &job {
        let message = OutboxMessage::to_workers(job, job.updated_at);
        outbox::add(database, transaction, &[message]).await?;
    }
    Ok(job)
}

/// Sets the values at the beginning of a generation.
fn begin_generation(database: &Database, change: &mut UpdateStatement, generation: u32) {
    change
        .value(Column::Generation, row::small(generation))
        .value(Column::Attempts, 0)
        .value(Column::CrashCount, 0)
        .value(Column::FramesDone, 0_i64)
        .value(Column::FramesTotal, 0_i64)
        .value(Column::ErrorCode, Option::<String>::None)
        .value(Column::ErrorMessage, Option::<String>::None)
        .value(Column::BegunAt, Option::<i64>::None)
        .value(Column::DeadlineAt, row::deadline(database));
}

pub(super) async fn hold(database: &Database, job: JobId, hold: Hold) -> Result<Option<VideoJob>, CallError> {
    let transaction = database.begin().await?;
    let kept_at = match hold {
        Hold::Keep => Func::coalesce([Expr::col(Column::KeptAt), database.now()]).into(),
        Hold::Release => Expr::val(Option::<i64>::None),
    };
    let mut change = row::change(database, Cond::all().add(Column::Id.eq(job.0)));
    change.value(Column::KeptAt, kept_at);
    let job = row::apply(&transaction, &change).await?;
    transaction.commit().await?;
    Ok(job)
}
