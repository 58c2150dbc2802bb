//! Operations for operators.

use sea_orm::ColumnTrait;
use sea_orm::sea_query::{Cond, Expr, ExprTrait, Func};

use super::call_error::CallError;
use super::entity::video_job::Column;
use super::finish::End;
use super::{outbox, row};
use crate::database::Database;
use crate::jobs::lease::{Decision, JobFacts, cancelled, decide};
use crate::jobs::{Hold, JobEvent, JobId, JobRepoError, JobStatus, OutboxMessage, VideoJob};

pub(super) async fn cancel(database: &Database, job: JobId) -> Result<Option<VideoJob>, CallError> {
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
        _ => Some(
            End::of(job, &cancelled(), job.crash_count)
                .write(database, &transaction)
                .await?,
        ),
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
    let mut change = row::change(database, row::unchanged(&job, JobEvent::Retry));
    change
        .value(Column::Status, JobStatus::Pending.as_str())
        .value(Column::Generation, Expr::col(Column::Generation).add(1))
        .value(Column::Attempts, 0)
        .value(Column::CrashCount, 0)
        .value(Column::FramesDone, 0_i64)
        .value(Column::FramesTotal, 0_i64)
        .value(Column::CancelRequested, false)
        .value(Column::ErrorCode, Option::<String>::None)
        .value(Column::ErrorMessage, Option::<String>::None)
        .value(Column::BegunAt, Option::<i64>::None)
        .value(Column::DeadlineAt, row::deadline(database))
        .value(Column::FinishedAt, Option::<i64>::None)
        .value(Column::EnqueuedAt, database.now());
    let job = row::apply(&transaction, &change).await?;
    if let Some(job) = &job {
        outbox::add(
            database,
            &transaction,
            &[OutboxMessage::to_workers(job, job.updated_at)],
        )
        .await?;
    }
    transaction.commit().await?;
    Ok(job)
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
