//! Reads and writes of the rows.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SelectStatement, UpdateStatement};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Iterable, QueryResult};

use super::entity::{fleet, worker};
use crate::clock::UnixMillis;
use crate::database::{Database, Session, text};
use crate::fleet::{Canary, EndedAttempts, Fleet, FleetWorker, Revision, Share, WorkerReport};

/// Name of the result column with the current time.
const NOW: &str = "now";

/// Returns whether the revision may claim jobs, in the transaction of the claim.
pub(crate) async fn admits(
    database: &Database,
    transaction: &Session,
    revision: &Revision,
) -> Result<bool, DbErr> {
    Ok(read(database, transaction).await?.role(revision).may_claim())
}

pub(super) async fn read(database: &Database, session: &Session) -> Result<Fleet, DbErr> {
    fleet(session.query_one(&select(database)).await?)
}

/// Reads the fleet and locks it until the end of the transaction.
pub(super) async fn lock(database: &Database, transaction: &Session) -> Result<Fleet, DbErr> {
    fleet(transaction.query_one(select(database).lock_exclusive()).await?)
}

fn select(database: &Database) -> SelectStatement {
    Query::select()
        .columns(fleet::Column::iter())
        .expr_as(database.now(), NOW)
        .from(fleet::Entity)
        .and_where(Expr::col(fleet::Column::Id).eq(fleet::ROW))
        .to_owned()
}

fn fleet(row: Option<QueryResult>) -> Result<Fleet, DbErr> {
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the fleet".to_owned()))?;
    let now = UnixMillis(row.try_get("", NOW)?);
    let row = fleet::Model::from_query_result(&row, "")?;
    let canary = match (row.canary, row.canary_percent, row.canary_until) {
        (Some(name), Some(percent), Some(until)) => Some(Canary {
            revision: revision(&name)?,
            share: u8::try_from(percent)
                .ok()
                .and_then(|percent| Share::from_percent(percent).ok())
                .ok_or_else(|| DbErr::Type(format!("a canary with {percent} per cent")))?,
            until: UnixMillis(until),
        }),
        _ => None,
    };
    Ok(Fleet {
        active: row.active.as_deref().map(revision).transpose()?,
        previous: row.previous.as_deref().map(revision).transpose()?,
        canary,
        activated_at: row.activated_at.map(UnixMillis),
        now,
    })
}

fn revision(name: &str) -> Result<Revision, DbErr> {
    name.parse()
        .map_err(|_| DbErr::Type(format!("the revision '{name}'")))
}

pub(super) fn write(fleet: &Fleet) -> UpdateStatement {
    use fleet::Column;
    let name = |revision: Option<&Revision>| revision.map(|revision| revision.as_str().to_owned());
    let canary = fleet.canary.as_ref();
    Query::update()
        .table(fleet::Entity)
        .value(Column::Active, name(fleet.active.as_ref()))
        .value(Column::Previous, name(fleet.previous.as_ref()))
        .value(Column::Canary, name(canary.map(|canary| &canary.revision)))
        .value(
            Column::CanaryPercent,
            canary.map(|canary| i32::from(canary.share.percent())),
        )
        .value(Column::CanaryUntil, canary.map(|canary| canary.until.0))
        .value(Column::ActivatedAt, fleet.activated_at.map(|at| at.0))
        .and_where(Expr::col(Column::Id).eq(fleet::ROW))
        .to_owned()
}

/// Builds the statement that records a report.
pub(super) fn record(
    database: &Database,
    report: &WorkerReport,
    migration: &str,
) -> sea_orm::sea_query::InsertStatement {
    use worker::Column;
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    // A worker with a fixed name may restart with another revision or program.
    let update = [
        Column::Revision,
        Column::Version,
        Column::SchemaMigration,
        Column::State,
        Column::Completed,
        Column::Failed,
        Column::Faults,
        Column::SeenAt,
        Column::Slots,
    ];
    Query::insert()
        .into_table(worker::Entity)
        .columns(Column::iter())
        .values_panic([
            text(&report.worker).into(),
            report.revision.as_ref().map(|r| r.as_str().to_owned()).into(),
            text(&report.version).into(),
            migration.into(),
            report.state.as_str().into(),
            number(report.ended.completed).into(),
            number(report.ended.failed).into(),
            number(report.ended.faults).into(),
            database.now(),
            database.now(),
            report
                .slots
                .map(|slots| i32::try_from(slots).unwrap_or(i32::MAX))
                .into(),
        ])
        .on_conflict(
            OnConflict::column(Column::Worker)
                .update_columns(update)
                .to_owned(),
        )
        .to_owned()
}

pub(super) fn select_workers(database: &Database) -> SelectStatement {
    Query::select()
        .columns(worker::Column::iter())
        .expr_as(database.now(), NOW)
        .from(worker::Entity)
        .order_by(worker::Column::StartedAt, sea_orm::Order::Asc)
        .order_by(worker::Column::Worker, sea_orm::Order::Asc)
        .to_owned()
}

pub(super) fn worker(row: &QueryResult) -> Result<FleetWorker, DbErr> {
    let now = UnixMillis(row.try_get("", NOW)?);
    let row = worker::Model::from_query_result(row, "")?;
    let state = row.state.parse();
    let report = WorkerReport {
        worker: row.worker,
        revision: row.revision.as_deref().map(revision).transpose()?,
        version: row.version,
        state: state.map_err(|()| DbErr::Type(format!("the state '{}' of a worker", row.state)))?,
        ended: EndedAttempts {
            completed: row.completed.unsigned_abs(),
            failed: row.failed.unsigned_abs(),
            faults: row.faults.unsigned_abs(),
        },
        slots: row.slots.map(i32::unsigned_abs),
    };
    Ok(FleetWorker {
        report,
        started_at: UnixMillis(row.started_at),
        age: now.since(UnixMillis(row.seen_at)),
    })
}
