//! Locks, guards, changes and reads a single row.

use sea_orm::sea_query::{
    Alias, BinOper, Cond, Expr, ExprTrait, Func, IntoColumnRef, LockBehavior, LockType, Query,
    SelectStatement, UpdateStatement,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryResult, QuerySelect,
    QueryTrait, Select,
};

use super::entity::video_job::{Column, Entity, Model};
use crate::clock::UnixMillis;
use crate::database::{Database, Session};
use crate::jobs::lease::JobFacts;
use crate::jobs::{JobEvent, JobId, JobStatus, Lease, VideoJob};

/// Name of the result column with the current time.
const NOW: &str = "now";
/// Name of the result column that tells whether a newer event of the row's object exists.
const OUTDATED: &str = "outdated";

/// Locks a job until the end of the transaction, and returns it with the facts for a decision.
pub(super) async fn lock(
    database: &Database,
    transaction: &Session,
    job: JobId,
) -> Result<Option<JobFacts>, DbErr> {
    let select = with_facts(database, Entity::find_by_id(job.0)).lock_exclusive();
    let row = transaction.query_one(&select.into_query()).await?;
    row.as_ref().map(facts).transpose()
}

/// Selects and locks a job together with columns of another table, which is not locked.
pub(super) fn lock_beside(database: &Database, job: JobId) -> SelectStatement {
    let mut select = with_facts(database, Entity::find_by_id(job.0)).into_query();
    select.lock_with_tables(LockType::Update, [Entity]);
    select
}

/// Selects and locks up to `limit` jobs for [`facts`], skipping jobs that other transactions have locked.
pub(super) fn lock_some(database: &Database, condition: Cond, limit: u64) -> Select<Entity> {
    some(database, condition, limit).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
}

/// Selects up to `limit` jobs for [`facts`].
pub(super) fn some(database: &Database, condition: Cond, limit: u64) -> Select<Entity> {
    with_facts(database, Entity::find().filter(condition)).limit(limit)
}

fn with_facts(database: &Database, select: Select<Entity>) -> Select<Entity> {
    select.expr_as(database.now(), NOW).expr_as(outdated(), OUTDATED)
}

pub(super) fn facts(row: &QueryResult) -> Result<JobFacts, DbErr> {
    Ok(JobFacts {
        job: job(row)?,
        outdated: row.try_get("", OUTDATED)?,
        now: UnixMillis(row.try_get("", NOW)?),
    })
}

/// Returns whether a newer event supersedes a job, by the rule of [`decide`](crate::jobs::lease::decide).
pub(super) fn superseded() -> Expr {
    Column::Generation.eq(0).and(outdated())
}

/// Returns whether a newer event of the row's object exists.
fn outdated() -> Expr {
    let newer = Alias::new("newer");
    let newer_col = |column| Expr::col((newer.clone(), column));
    Expr::exists(
        Query::select()
            .expr(Expr::val(1))
            .from_as(Entity, newer.clone())
            .and_where(newer_col(Column::SourceObject).equals((Entity, Column::SourceObject)))
            .and_where(newer_col(Column::EventOrder).gt(Expr::col((Entity, Column::EventOrder))))
            .to_owned(),
    )
}

pub(super) fn job(row: &QueryResult) -> Result<VideoJob, DbErr> {
    Model::from_query_result(row, "")?.try_into()
}

/// Returns the states in which `event` can happen.
pub(super) fn before(event: JobEvent) -> Vec<&'static str> {
    let states = JobStatus::ALL.into_iter();
    let states = states.filter(|status| status.after(event).is_some());
    states.map(JobStatus::as_str).collect()
}

/// Returns the condition for a status in a guard that also has the id.
///
/// No index can serve the condition. With old statistics, Postgres would otherwise choose an index of the jobs in work
/// instead of the primary key, and read all of these jobs.
fn status_is_in(states: impl IntoIterator<Item = &'static str>) -> Expr {
    // Postgres 19 simplifies COALESCE of a column without nulls.
    let status = Expr::col((Entity, Column::Status)).binary(BinOper::Custom("||"), "");
    status.is_in(states)
}

/// Returns the condition that a time is null. As for [`status_is_in`], no index can serve the condition.
pub(super) fn is_unset(time: impl IntoColumnRef) -> Expr {
    Func::coalesce([Expr::col(time), Expr::val(0_i64)]).eq(0_i64)
}

/// Returns the guard for changes by the holder of `lease`.
pub(super) fn held_by(lease: &Lease) -> Cond {
    Cond::all()
        .add(Column::Id.eq(lease.job.0))
        .add(Column::LeaseEpoch.eq(lease.epoch.0))
        .add(status_is_in([JobStatus::Processing.as_str()]))
}

/// Returns the guard under which `event` can happen to the row of `job` as it was read.
pub(super) fn unchanged(job: &VideoJob, event: JobEvent) -> Cond {
    Cond::all()
        .add(Column::Id.eq(job.id.0))
        .add(Column::LeaseEpoch.eq(job.lease_epoch.0))
        .add(status_is_in(before(event)))
}

/// Builds a change of the rows that match `guard`; the statement returns the changed rows.
pub(super) fn change(database: &Database, guard: Cond) -> UpdateStatement {
    Query::update()
        .table(Entity)
        .value(Column::UpdatedAt, database.now())
        .cond_where(guard)
        .returning_all()
        .to_owned()
}

/// Clears the lease.
pub(super) fn clear_lease(change: &mut UpdateStatement) -> &mut UpdateStatement {
    change
        .value(Column::Stage, Option::<String>::None)
        .value(Column::LeaseOwner, Option::<String>::None)
        .value(Column::LeaseExpiresAt, Option::<i64>::None)
}

/// Applies a change and returns the changed job, or `None` if the guard did not match.
pub(super) async fn apply(
    transaction: &Session,
    change: &UpdateStatement,
) -> Result<Option<VideoJob>, DbErr> {
    let row = transaction.query_one(change).await?;
    row.as_ref().map(job).transpose()
}

/// Returns the deadline of a job whose time starts now.
pub(super) fn deadline(database: &Database) -> Expr {
    database.now().add(Expr::col(Column::TimeLimitMs))
}

pub(super) fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn large(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
