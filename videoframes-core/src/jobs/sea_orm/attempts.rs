//! The history of the attempts at a job.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Order, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, FromQueryResult, Iterable};

use super::call_error::CallError;
use super::entity::attempt::{Column, Entity, Model};
use super::entity::video_job::{Column as Job, Entity as Jobs};
use super::row;
use crate::clock::UnixMillis;
use crate::database::{Database, Session, text};
use crate::jobs::{
    Attempt, AttemptOutcome, JobError, JobId, JobStatus, Lease, LeaseEpoch, StageTime, VideoJob,
};
use crate::limits::{MAX_ATTEMPTS, MAX_STAGES};

/// Columns of the job next to those of its attempts.
const STATUS: &str = "job_status";
const EPOCH: &str = "job_epoch";

/// The end of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended<'a> {
    pub(super) outcome: AttemptOutcome,
    pub(super) error: Option<&'a JobError>,
    pub(super) at: UnixMillis,
}

/// Adds the attempt of a claim, after which the job is `claimed`. `before` is the locked job before the claim.
pub(super) async fn begin(transaction: &Session, before: &VideoJob, claimed: &VideoJob) -> Result<(), DbErr> {
    lose(transaction, before).await?;
    let insert = Query::insert()
        .into_table(Entity)
        .columns([
            Column::JobId,
            Column::Epoch,
            Column::Generation,
            Column::Worker,
            Column::StartedAt,
        ])
        .values_panic([
            claimed.id.0.into(),
            claimed.lease_epoch.0.into(),
            row::small(claimed.generation).into(),
            claimed.lease_owner.clone().unwrap_or_default().into(),
            claimed.updated_at.0.into(),
        ])
        // The history must never prevent a claim, even if only a part of the tables was restored.
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .to_owned();
    transaction.execute(&insert).await?;
    // Every attempt has another epoch, so fewer epochs mean fewer attempts.
    if usize::try_from(before.lease_epoch.0).is_ok_and(|claims| claims >= MAX_ATTEMPTS) {
        forget(transaction, claimed.id).await?;
    }
    Ok(())
}

/// Deletes the attempts of a job except the latest ones.
async fn forget(transaction: &Session, job: JobId) -> Result<(), DbErr> {
    let latest_forgotten = Query::select()
        .column(Column::Epoch)
        .from(Entity)
        .and_where(Column::JobId.eq(job.0))
        .order_by(Column::Epoch, Order::Desc)
        .limit(1)
        .offset(MAX_ATTEMPTS as u64)
        .to_owned();
    let delete = Query::delete()
        .from_table(Entity)
        .and_where(Column::JobId.eq(job.0))
        .and_where(Expr::col(Column::Epoch).lte(Expr::SubQuery(None, Box::new(latest_forgotten.into()))))
        .to_owned();
    transaction.execute(&delete).await?;
    Ok(())
}

/// Ends the attempt of a lease. Changes nothing if a worker of an older version claimed the job.
pub(super) async fn end(transaction: &Session, lease: &Lease, ended: Ended<'_>) -> Result<(), DbErr> {
    let part = |part: fn(&JobError) -> &str| ended.error.map(|error| text(part(error)));
    let update = Query::update()
        .table(Entity)
        .value(Column::EndedAt, ended.at.0)
        .value(Column::Outcome, ended.outcome.as_str())
        .value(Column::ErrorCode, part(|error| &error.code))
        .value(Column::ErrorMessage, part(|error| &error.message))
        .and_where(Column::JobId.eq(lease.job.0))
        .and_where(Column::Epoch.eq(lease.epoch.0))
        .to_owned();
    transaction.execute(&update).await?;
    Ok(())
}

/// Ends the attempt of a worker whose lease has expired, if the job has one.
pub(super) async fn lose(transaction: &Session, job: &VideoJob) -> Result<(), DbErr> {
    if job.status != JobStatus::Processing || job.lease_epoch.0 == 0 {
        return Ok(());
    }
    let lease = Lease {
        job: job.id,
        epoch: job.lease_epoch,
    };
    let ended = Ended {
        outcome: AttemptOutcome::Lost,
        error: None,
        at: job.lease_expires_at.unwrap_or(job.updated_at),
    };
    end(transaction, &lease, ended).await
}

pub(super) async fn list(database: &Database, job: JobId) -> Result<Vec<Attempt>, CallError> {
    let select = Query::select()
        .columns(Column::iter().map(|column| (Entity, column)))
        .expr_as(Expr::col((Jobs, Job::Status)), STATUS)
        .expr_as(Expr::col((Jobs, Job::LeaseEpoch)), EPOCH)
        .from(Entity)
        .inner_join(Jobs, Expr::col((Jobs, Job::Id)).equals((Entity, Column::JobId)))
        .and_where(Column::JobId.eq(job.0))
        .order_by((Entity, Column::Epoch), Order::Desc)
        .limit(MAX_ATTEMPTS as u64)
        .to_owned();
    let rows = database.reader().await?.query_all(&select).await?;
    let mut attempts = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        let attempt = Attempt::from(Model::from_query_result(row, "")?);
        let in_work = row.try_get::<String>("", STATUS)? == JobStatus::Processing.as_str();
        let epoch = LeaseEpoch(row.try_get("", EPOCH)?);
        attempts.push(attempt.listed(in_work.then_some(epoch)));
    }
    Ok(attempts)
}

pub(super) async fn record_stages(
    database: &Database,
    lease: &Lease,
    stages: &[StageTime],
) -> Result<(), CallError> {
    let stages = &stages[..stages.len().min(MAX_STAGES)];
    let json = serde_json::to_string(stages).map_err(|error| DbErr::Json(error.to_string()))?;
    let update = Query::update()
        .table(Entity)
        .value(Column::Stages, json)
        .and_where(Column::JobId.eq(lease.job.0))
        .and_where(Column::Epoch.eq(lease.epoch.0))
        .to_owned();
    database.run(&update).await?;
    Ok(())
}
