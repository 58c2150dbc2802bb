//! One row: how it is locked, guarded, changed and read back.

use sea_orm::sea_query::{Alias, Cond, Expr, ExprTrait, Query, UpdateStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryResult, QuerySelect,
    QueryTrait, Select,
};

use super::entity::video_job::{Column, Entity, Model};
use crate::clock::UnixMillis;
use crate::database::{Database, Session};
use crate::jobs::lease::Standing;
use crate::jobs::{JobEvent, JobId, JobStatus, Lease, VideoJob};

/// Under which name a query gives the time along with the rows.
const NOW: &str = "now";
/// Under which name a query tells of each row whether a newer event of its object is there.
const OUTDATED: &str = "outdated";

/// How the job stands, to be changed by nobody else until the end of the transaction.
pub(super) async fn lock(
    database: &Database,
    transaction: &Session,
    job: JobId,
) -> Result<Option<Standing>, DbErr> {
    let select = with_standing(database, Entity::find_by_id(job.0)).lock_exclusive();
    let row = transaction.query_one(&select.into_query()).await?;
    row.as_ref().map(standing).transpose()
}

/// Up to `most` jobs, for [`standing`]; those that others are changing right now are passed over.
pub(super) fn lock_some(database: &Database, condition: Cond, most: u64) -> Select<Entity> {
    use sea_orm::sea_query::{LockBehavior, LockType};
    with_standing(database, Entity::find().filter(condition))
        .limit(most)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
}

fn with_standing(database: &Database, select: Select<Entity>) -> Select<Entity> {
    select.expr_as(database.now(), NOW).expr_as(outdated(), OUTDATED)
}

pub(super) fn standing(row: &QueryResult) -> Result<Standing, DbErr> {
    Ok(Standing {
        job: job(row)?,
        outdated: row.try_get("", OUTDATED)?,
        now: UnixMillis(row.try_get("", NOW)?),
    })
}

/// Whether a newer event takes a job's place, as [`decide`](crate::jobs::lease::decide) sees it.
pub(super) fn superseded() -> Expr {
    Column::Generation.eq(0).and(outdated())
}

/// Whether a newer event of a row's object is there.
fn outdated() -> Expr {
    let newer = Alias::new("newer");
    let of_newer = |column| Expr::col((newer.clone(), column));
    Expr::exists(
        Query::select()
            .expr(Expr::val(1))
            .from_as(Entity, newer.clone())
            .and_where(of_newer(Column::SourceObject).equals((Entity, Column::SourceObject)))
            .and_where(of_newer(Column::EventOrder).gt(Expr::col((Entity, Column::EventOrder))))
            .to_owned(),
    )
}

pub(super) fn job(row: &QueryResult) -> Result<VideoJob, DbErr> {
    Model::from_query_result(row, "")?.try_into()
}

/// The states in which `event` can happen.
pub(super) fn before(event: JobEvent) -> Vec<&'static str> {
    let states = JobStatus::ALL.into_iter();
    let states = states.filter(|status| status.after(event).is_some());
    states.map(JobStatus::as_str).collect()
}

/// What a row has to be for the holder of `lease` to change it.
pub(super) fn held_by(lease: &Lease) -> Cond {
    Cond::all()
        .add(Column::Id.eq(lease.job.0))
        .add(Column::LeaseEpoch.eq(lease.epoch.0))
        .add(Column::Status.eq(JobStatus::Processing.as_str()))
}

/// What the row of `job` has to be for `event` to happen to it as it was read.
pub(super) fn unchanged(job: &VideoJob, event: JobEvent) -> Cond {
    Cond::all()
        .add(Column::Id.eq(job.id.0))
        .add(Column::LeaseEpoch.eq(job.lease_epoch.0))
        .add(Column::Status.is_in(before(event)))
}

/// A change of whatever rows fit the guard, which gives them as they then stand.
pub(super) fn change(database: &Database, guard: Cond) -> UpdateStatement {
    Query::update()
        .table(Entity)
        .value(Column::UpdatedAt, database.now())
        .cond_where(guard)
        .returning_all()
        .to_owned()
}

/// Takes the job out of its holder's hands.
pub(super) fn let_go(change: &mut UpdateStatement) -> &mut UpdateStatement {
    change
        .value(Column::Stage, Option::<String>::None)
        .value(Column::LeaseOwner, Option::<String>::None)
        .value(Column::LeaseExpiresAt, Option::<i64>::None)
}

/// The job as the change left it; `None` where the guard held it back.
pub(super) async fn apply(
    transaction: &Session,
    change: &UpdateStatement,
) -> Result<Option<VideoJob>, DbErr> {
    let row = transaction.query_one(change).await?;
    row.as_ref().map(job).transpose()
}

/// The deadline of a job that is given its time now.
pub(super) fn deadline(database: &Database) -> Expr {
    database.now().add(Expr::col(Column::TimeLimitMs))
}

pub(super) fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn large(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
