//! Operations of a lease holder other than finishing the job.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, Query, UpdateStatement};

use super::attempts::{self, Ended};
use super::call_error::CallError;
use super::entity::video_job::{Column, Entity};
use super::restore::Checked;
use super::{parking, row};
use crate::database::{Database, text};
use crate::jobs::{AttemptOutcome, JobError, JobProgress, JobRepoError, JobStatus, Lease, Renewal};

pub(super) async fn renew(
    database: &Database,
    lease: &Lease,
    duration: Duration,
    progress: JobProgress,
) -> Result<Renewal, CallError> {
    let renewal = Query::update()
        .table(Entity)
        .value(Column::UpdatedAt, database.now())
        .value(Column::LeaseExpiresAt, database.later(duration))
        .value(Column::Stage, progress.stage.as_str())
        .value(Column::FramesDone, row::large(progress.frames_done))
        .value(Column::FramesTotal, row::large(progress.frames_total))
        .cond_where(row::held_by(lease))
        .returning_col(Column::CancelRequested)
        .to_owned();
    let rows = database.run_reserved(&renewal).await?;
    let row = rows.first().ok_or(JobRepoError::LeaseLost)?;
    Ok(Renewal {
        cancel_requested: row.try_get("", "cancel_requested")?,
    })
}

pub(super) async fn retry_later(
    checked: &Checked,
    lease: &Lease,
    error: &JobError,
    delay: Duration,
) -> Result<(), CallError> {
    let change = wait(&checked.database, lease, error, delay);
    give_up(checked, lease, change, AttemptOutcome::Retried, Some(error)).await
}

pub(super) async fn defer(
    checked: &Checked,
    lease: &Lease,
    error: &JobError,
    delay: Duration,
) -> Result<(), CallError> {
    let mut change = wait(&checked.database, lease, error, delay);
    change.value(Column::Attempts, uncounted());
    give_up(checked, lease, change, AttemptOutcome::Deferred, Some(error)).await
}

/// Builds the change after which a job waits for its next attempt.
fn wait(database: &Database, lease: &Lease, error: &JobError, delay: Duration) -> UpdateStatement {
    let mut change = row::change(database, row::held_by(lease));
    row::clear_lease(&mut change)
        .value(Column::Status, JobStatus::RetryWait.as_str())
        .value(Column::NextAttemptAt, database.later(delay))
        .value(Column::ErrorCode, text(&error.code))
        .value(Column::ErrorMessage, text(&error.message));
    change
}

pub(super) async fn release(checked: &Checked, lease: &Lease) -> Result<(), CallError> {
    let mut change = row::change(&checked.database, row::held_by(lease));
    row::clear_lease(&mut change)
        .value(Column::Status, JobStatus::Pending.as_str())
        .value(Column::Attempts, uncounted());
    give_up(checked, lease, change, AttemptOutcome::Released, None).await
}

/// Returns the number of attempts without this one. An operator may have reset the number meanwhile.
fn uncounted() -> Expr {
    let attempts = || Expr::col(Column::Attempts);
    Expr::case(attempts().gt(0), attempts().sub(1)).finally(0).into()
}

/// Applies a change that gives up the lease, and ends the attempt.
async fn give_up(
    checked: &Checked,
    lease: &Lease,
    change: UpdateStatement,
    outcome: AttemptOutcome,
    error: Option<&JobError>,
) -> Result<(), CallError> {
    let (transaction, _) = checked.begin().await?;
    let at = checked.database.now();
    let history = attempts::end(lease, Ended { outcome, error, at });
    let changed = attempts::first(&transaction, history, change).await?;
    let job = row::job(&changed.ok_or(JobRepoError::LeaseLost)?)?;
    parking::after_lease(checked, &transaction, &job).await?;
    transaction.commit().await?;
    Ok(())
}
