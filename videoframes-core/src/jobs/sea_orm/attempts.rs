//! The history of the attempts at a job.

use sea_orm::sea_query::{
    CommonTableExpression, Expr, ExprTrait, InsertStatement, OnConflict, Order, Query, SubQueryStatement,
    UpdateStatement,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, FromQueryResult, Iterable, QueryResult, StatementBuilder,
};

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
pub(super) struct Ended<'a> {
    pub(super) outcome: AttemptOutcome,
    pub(super) error: Option<&'a JobError>,
    /// Time of the end.
    pub(super) at: Expr,
}

/// Runs a change of the history and then another statement, and returns the first row of the latter.
///
/// Postgres runs both as one statement, which saves a round trip per claim and per end.
pub(super) async fn first<H, S>(
    transaction: &Session,
    history: H,
    statement: S,
) -> Result<Option<QueryResult>, DbErr>
where
    H: StatementBuilder + Into<SubQueryStatement> + Sync,
    S: StatementBuilder + Into<SubQueryStatement> + Sync,
{
    if transaction.get_database_backend() != DbBackend::Postgres {
        transaction.execute(&history).await?;
        return transaction.query_one(&statement).await;
    }
    let history = CommonTableExpression::new()
        .table_name("history")
        .query(history)
        .to_owned();
    let both = Query::with().cte(history).to_owned().query(statement);
    transaction.query_one(&both).await
}

/// Builds the row of a new attempt at a job.
pub(super) fn begin(job: &VideoJob, epoch: LeaseEpoch, owner: &str, now: UnixMillis) -> InsertStatement {
    Query::insert()
        .into_table(Entity)
        .columns([
            Column::JobId,
            Column::Epoch,
            Column::Generation,
            Column::Worker,
            Column::StartedAt,
        ])
        .values_panic([
            job.id.0.into(),
            epoch.0.into(),
            row::small(job.generation).into(),
            text(owner).into(),
            now.0.into(),
        ])
        // The history must never prevent a claim, even if only a part of the tables was restored.
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .to_owned()
}

/// Deletes the attempts of a job except the latest ones, after a claim. `before` is the job before the claim.
pub(super) async fn forget(transaction: &Session, before: &VideoJob) -> Result<(), DbErr> {
    // Every attempt has another epoch, so few epochs mean few attempts.
    if usize::try_from(before.lease_epoch.0).is_ok_and(|claims| claims < MAX_ATTEMPTS) {
        return Ok(());
    }
    let latest_forgotten = Query::select()
        .column(Column::Epoch)
        .from(Entity)
        .and_where(Column::JobId.eq(before.id.0))
        .order_by(Column::Epoch, Order::Desc)
        .limit(1)
        .offset(MAX_ATTEMPTS as u64)
        .to_owned();
    let delete = Query::delete()
        .from_table(Entity)
        .and_where(Column::JobId.eq(before.id.0))
        .and_where(Expr::col(Column::Epoch).lte(Expr::SubQuery(None, Box::new(latest_forgotten.into()))))
        .to_owned();
    transaction.execute(&delete).await?;
    Ok(())
}

/// Builds the end of the attempt of a lease. Changes nothing if a worker of an older version claimed the job.
pub(super) fn end(lease: &Lease, ended: Ended<'_>) -> UpdateStatement {
    let part = |part: fn(&JobError) -> &str| ended.error.map(|error| text(part(error)));
    Query::update()
        .table(Entity)
        .value(Column::EndedAt, ended.at)
        .value(Column::Outcome, ended.outcome.as_str())
        .value(Column::ErrorCode, part(|error| &error.code))
        .value(Column::ErrorMessage, part(|error| &error.message))
        .and_where(Column::JobId.eq(lease.job.0))
        .and_where(Column::Epoch.eq(lease.epoch.0))
        .to_owned()
}

/// Builds the end of the attempt of a worker whose lease has expired, if the job has one.
pub(super) fn lost(job: &VideoJob) -> Option<UpdateStatement> {
    if job.status != JobStatus::Processing || job.lease_epoch.0 == 0 {
        return None;
    }
    let lease = Lease {
        job: job.id,
        epoch: job.lease_epoch,
    };
    let at = job.lease_expires_at.unwrap_or(job.updated_at);
    let ended = Ended {
        outcome: AttemptOutcome::Lost,
        error: None,
        at: at.0.into(),
    };
    Some(end(&lease, ended))
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
